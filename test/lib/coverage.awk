# From lcov's records: lines that ran by directory of src, functions that never did.
/^SF:/ {
	file = substr($0, 4)
	sub(".*/src/src/", "", file)
	directory = file
	if (!sub("/.*", "", directory))
		directory = "."
}
/^DA:/ {
	split(substr($0, 4), line, ",")
	lines[directory]++
	ran[directory] += line[2] > 0
}
/^FNDA:0,/ {
	sub("FNDA:0,", "")
	never[file] = never[file] " " $0
}
END {
	for (directory in lines) {
		printf "%-10s %5d of %5d lines, %3d %%\n", directory, ran[directory], lines[directory],
			100 * ran[directory] / lines[directory] | "sort"
		all += lines[directory]
		all_ran += ran[directory]
	}
	close("sort")
	printf "%-10s %5d of %5d lines, %3d %%\n", "all", all_ran, all, 100 * all_ran / all
	for (file in never)
		print "never called, " file ":" never[file] | "sort"
	close("sort")
	exit all == 0
}
