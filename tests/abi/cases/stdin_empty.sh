cat; echo $?; read x; echo $?
