# shellcheck shell=bash
# Completion of heraldctl and heraldd in bash. What there is to say is read from the program's own --help, so that a new
# command or option is completed from its first day.

# The commands and options of a --help text on standard input, one a line, without their arguments.
_herald_offers() {
    sed -n 's/^  \([a-z-][a-z -]*\).*/\1/p' | sed 's/  .*//; s/ *$//'
}

_herald() {
    local program=$1 word=$2 before=$3 said='' i offers offer
    COMPREPLY=()
    case $before in
    --config | -c) return ;; # a file: bash's own
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --config | -c) ((i++)) ;;
        -*) ;;
        *) said+=${COMP_WORDS[i]}' ' ;;
        esac
    done
    offers=$("$program" --help 2>/dev/null | _herald_offers)
    while read -r offer; do
        case $offer in
        -*)
            [[ $word == -* && $offer == "$word"* ]] && COMPREPLY+=("$offer")
            ;;
        "$said"*)
            offer=${offer#"$said"}
            offer=${offer%% *}
            [[ $word != -* && $offer == "$word"* && " ${COMPREPLY[*]} " != *" $offer "* ]] && COMPREPLY+=("$offer")
            ;;
        esac
    done <<<"$offers"
}

complete -o default -F _herald heraldctl heraldd
