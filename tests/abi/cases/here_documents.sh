name=world
cat <<END
hello $name $((1 + 1)) `echo sub`
END
cat <<'END'
no $expansion `here`
END
cat <<-END
	tabs off
	END
cat <<<"here string"
{ cat <<A; cat <<B; } | tr a-z A-Z
first
A
second
B
big=$(seq 1 30000)
wc -c <<END
$big
END
