"""Completions for bash, zsh and fish, written out in full.

A script that asked `waypost` at each press of TAB would start Python and load commands each time,
which is slower than a person types. So the whole tree of commands stands in the script; it is made
anew with each version.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from waypost.faces.cli.command_tree import Argument, Command, Option


def _head(name: str) -> str:
    return f"Completion of waypost for {name}, made by `waypost completion {name}`."


def bash(root: Command) -> str:
    """A function and its registration; needs bash 4 and nothing else."""
    places = "|".join("/".join(("waypost", *one.path)) for one in root.all() if one.path)
    options = "\n".join(_bash_words(one) for one in root.all())
    values = "\n".join(_bash_values(root))
    return f"""\
# {_head("bash")}
_waypost() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} at=waypost i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case $at/${{COMP_WORDS[i]}} in
            {places})
                at=$at/${{COMP_WORDS[i]}} ;;
        esac
    done
    case $at:$prev in
{values}
    esac
    local options= words= paths=
    case $at in
{options}
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$cur"))
        return
    fi
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    if [[ $paths ]]; then
        compopt -o filenames 2>/dev/null
        COMPREPLY+=($(compgen -f -- "$cur"))
    fi
}}
complete -F _waypost waypost
"""


def _bash_words(command: Command) -> str:
    at = "/".join(("waypost", *command.path))
    options = " ".join(name for option in command.options for name in option.names)
    words = " ".join(
        [
            *(one.path[-1] for one in command.commands),
            *(value for one in command.arguments for value in one.values),
        ]
    )
    paths = "1" if any(one.takes_path for one in command.arguments) else ""
    return f'        {at}) options="{options}" words="{words}" paths={paths} ;;'


def _bash_values(root: Command) -> Iterator[str]:
    """What may stand behind an option that takes a value."""
    for command in root.all():
        at = "/".join(("waypost", *command.path))
        for option in command.options:
            if not option.value:
                continue
            here = "|".join(f"{at}:{name}" for name in option.names)
            if option.values:
                words = " ".join(option.values)
                yield f'        {here}) COMPREPLY=($(compgen -W "{words}" -- "$cur")); return ;;'
            elif option.takes_path:
                yield (
                    f"        {here}) compopt -o filenames 2>/dev/null; "
                    'COMPREPLY=($(compgen -f -- "$cur")); return ;;'
                )
            else:
                yield f"        {here}) return ;;"


# --- zsh ------------------------------------------------------------------------------------------


def zsh(root: Command) -> str:
    """A function for a folder of $fpath, called _waypost there."""
    functions = "\n".join(_zsh_function(one) for one in root.all())
    return f"""\
#compdef waypost
# {_head("zsh")}
{functions}
if [ "$funcstack[1]" = _waypost ]; then
    _waypost "$@"
else
    compdef _waypost waypost
fi
"""


def _zsh_function(command: Command) -> str:
    name = "_".join(("_waypost", *command.path))
    specs = [_zsh_option(option) for option in command.options]
    if command.commands:
        rows = "\n".join(
            f"        {_quoted(f'{one.path[-1]}:{_no_colon(one.line)}')}"
            for one in command.commands
        )
        cases = "\n".join(
            f"                {one.path[-1]}) {'_'.join(('_waypost', *one.path))} ;;"
            for one in command.commands
        )
        specs += ["'1: :->command'", "'*:: :->rest'"]
        return f"""\
{name}() {{
    local curcontext=$curcontext state line
    local -a commands=(
{rows}
    )
    _arguments -C {_continued(specs)}
    case $state in
        command) _describe command commands ;;
        rest)
            case $words[1] in
{cases}
            esac ;;
    esac
}}
"""
    specs += [_zsh_argument(one, place) for place, one in enumerate(command.arguments, 1)]
    return f"{name}() {{\n    _arguments {_continued(specs)}\n}}\n"


def _continued(specs: Iterable[str]) -> str:
    return " \\\n        ".join(specs)


def _zsh_option(option: Option) -> str:
    many = "*" if option.repeats else ""
    excluded = "" if option.repeats else f"({' '.join(option.names)})"
    meaning = _in_brackets(option.help)
    value = f":{_no_colon(option.value)}:{_zsh_action(option)}" if option.value else ""
    if len(option.names) == 1:
        return _quoted(f"{many}{option.names[0]}[{meaning}]{value}")
    names = ",".join(option.names)
    return f"{_quoted(excluded + many)}{{{names}}}{_quoted(f'[{meaning}]{value}')}"


def _zsh_argument(argument: Argument, place: int) -> str:
    where = "*" if "..." in argument.name else str(place)
    optional = "" if where == "*" else (":" if argument.name.startswith("[") else "")
    action = _zsh_action(argument) or " "
    return _quoted(f"{where}:{optional}{_no_colon(argument.name.strip('[].'))}:{action}")


def _zsh_action(one: Option | Argument) -> str:
    if one.values:
        return f"({' '.join(one.values)})"
    return "_files" if one.takes_path else ""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _no_colon(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")


def _in_brackets(text: str) -> str:
    return _no_colon(text).replace("[", "\\[").replace("]", "\\]")


# --- fish -----------------------------------------------------------------------------------------


def fish(root: Command) -> str:
    """Lines of `complete`."""
    lines = [line for command in root.all() for line in _fish_lines(command)]
    return f"""\
# {_head("fish")}
function __waypost_at --description 'Whether these are the words of the command so far'
    set -l words (commandline -opc)
    set -l wanted waypost $argv
    test (count $words) -ge (count $wanted); or return 1
    for i in (seq 2 (count $wanted))
        test "$words[$i]" = "$wanted[$i]"; or return 1
    end
end
function __waypost_before --description 'Whether the next word is a command below these'
    test (count (commandline -opc)) -eq (math (count $argv) + 1); and __waypost_at $argv
end
complete -c waypost -f
{chr(10).join(lines)}
"""


def _fish_lines(command: Command) -> Iterator[str]:
    at = " ".join(("__waypost_at", *command.path)) if command.path else "__waypost_before"
    before = " ".join(("__waypost_before", *command.path))
    for one in command.commands:
        yield (
            f"complete -c waypost -n {_fish(before)} -a {_fish(one.path[-1])} -d {_fish(one.line)}"
        )
    for option in command.options:
        names = " ".join(
            f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
        )
        yield (
            f"complete -c waypost -n {_fish(at)} {names}{_fish_value(option)} "
            f"-d {_fish(option.help)}"
        )
    for argument in command.arguments:
        if argument.values:
            words = " ".join(argument.values)
            yield f"complete -c waypost -n {_fish(at)} -a {_fish(words)}"
        elif argument.takes_path:
            yield f"complete -c waypost -n {_fish(at)} -F"


def _fish_value(option: Option) -> str:
    if not option.value:
        return ""
    if option.values:
        return f" -x -a {_fish(' '.join(option.values))}"
    return " -r -F" if option.takes_path else " -x"


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: Final = {"bash": bash, "zsh": zsh, "fish": fish}
