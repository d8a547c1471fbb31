# bash completion for mesh(1): commands, options as `mesh help COMMAND` lists them, then files.
_mesh()
{
    local cur=${COMP_WORDS[COMP_CWORD]} command='' i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --socket) ((i++)) ;;
        -*) ;;
        *)
            command=${COMP_WORDS[i]}
            break
            ;;
        esac
    done
    if [[ -z $command ]]; then
        COMPREPLY=($(compgen -W "--socket --version --help help $(mesh --help 2>/dev/null |
            sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')" -- "$cur"))
    elif [[ $command == help ]]; then
        COMPREPLY=($(compgen -W "$(mesh --help 2>/dev/null |
            sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')" -- "$cur"))
    elif [[ $command == queue && ${COMP_WORDS[COMP_CWORD - 1]} == queue ]]; then
        COMPREPLY=($(compgen -W "put get ls rm" -- "$cur"))
    elif [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$(mesh help "$command" 2>/dev/null |
            sed -n '/^options:/,/^$/s/^  \(-[^ ]*,\? *-*[a-z-]*\).*/\1/p' | tr , ' ')" -- "$cur"))
    else
        compopt -o default 2>/dev/null
    fi
}
complete -F _mesh mesh
