awk -F: '{ n[$7]++ } END { for (s in n) print s, n[s] }' /etc/passwd | sort
awk 'BEGIN { for (i = 1; i <= 20000; i++) s += i * i; print s; printf "%.10f %s\n", atan2(0, -1), substr("hello", 2, 3) }'
echo "a b c" | awk '{ $2 = "X"; print; print NF; gsub(/[a-c]/, "<&>"); print }'
awk 'BEGIN { "echo from command" | getline x; print x; print "to command" | "tr a-z A-Z"; close("tr a-z A-Z"); print system("exit 4") }'
awk 'BEGIN { while ((getline line < "/etc/group") > 0) n++; print n; exit 3 }'; echo $?
