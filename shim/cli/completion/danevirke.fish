# SPDX-License-Identifier: ISC
# fish: danevirke(1) says itself what it takes.
function __danevirke_complete
	set -l words (commandline -opc)
	string match -qr '^(-.*|help)$' -- "$words[2]"; and return
	set -l lines (command danevirke $words[2] --complete 2>/dev/null)
	set -l last (string escape --style=regex -- $words[-1])
	if string match -qr -- "^$last\t[^-]" $lines
		__fish_complete_path (commandline -ct)
	else
		string replace -r '\t[^\t]*' '' -- $lines
		string match -q -- '-*' (commandline -ct)
		or __fish_complete_path (commandline -ct)
	end
end
complete -c danevirke -f -a '(__danevirke_complete)'
