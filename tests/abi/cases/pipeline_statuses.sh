set -o pipefail
true | false | true; echo $?
(exit 5) | (exit 6) | cat; echo "$? ${PIPESTATUS[*]}"
yes | head -n 3; echo "${PIPESTATUS[*]}"
