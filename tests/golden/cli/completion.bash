# Completion for tidemark: source <(tidemark completion bash)
_tidemark() {
  local word="${COMP_WORDS[COMP_CWORD]}" noun="${COMP_WORDS[1]}" verb="${COMP_WORDS[2]}" verbs="" options=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "init serve profile status doctor store backup restore log signer login logout whoami model version alias bundle claims device rollout monitor alert pipeline run gate worker lineage audit project user role token key events import completion help " -- "$word"))
    return
  fi
  case "$noun" in
    profile) verbs="show raise" ;;
    store) verbs="verify" ;;
    backup) verbs="verify list prune" ;;
    log) verbs="resume" ;;
    signer) verbs="run serve adopt" ;;
    model) verbs="register create change list show download diff inspect sign verify" ;;
    version) verbs="show list search check derive submit approve reject move change tag" ;;
    alias) verbs="set list delete" ;;
    bundle) verbs="build inspect verify export" ;;
    claims) verbs="add list show export verify keys trust distrust" ;;
    device) verbs="list show enrol-code codes tag revoke" ;;
    rollout) verbs="create list show pause resume abort revert" ;;
    monitor) verbs="set show" ;;
    alert) verbs="list show ack" ;;
    pipeline) verbs="set list runs show run" ;;
    run) verbs="show" ;;
    gate) verbs="set list show" ;;
    lineage) verbs="show impact" ;;
    audit) verbs="list verify export checkpoint witnesses show proof" ;;
    project) verbs="create list show describe archive restore" ;;
    user) verbs="add list show disable enable" ;;
    role) verbs="list grant revoke" ;;
    token) verbs="create list rotate revoke" ;;
    key) verbs="enrol enrol-me list public sign-keyset publish" ;;
    import) verbs="mlflow" ;;
  esac
  case "$noun $verb" in
    "init "*) options=" --profile --host" ;;
    "serve "*) options=" --set --auto-approve-by-gate --dump-config --log-json --verbose" ;;
    "profile show") options="" ;;
    "profile raise") options=" --keys-to --reason" ;;
    "status "*) options="" ;;
    "doctor "*) options=" --free" ;;
    "store verify") options=" --from" ;;
    "backup verify") options=" --digest --key" ;;
    "backup list") options=" --to" ;;
    "backup prune") options=" --to --keep" ;;
    "backup "*) options=" --to --without-keys --trust-older" ;;
    "restore "*) options=" --reason --digest --key --keys --signer-state" ;;
    "log resume") options=" --reason --accept-truncation --last --although-whole" ;;
    "signer run") options=" --key --state --fd" ;;
    "signer serve") options=" --state --socket --server-user --listen --tls-cert --tls-key --tls-client-ca --tls-client" ;;
    "signer adopt") options=" --state --owner --url" ;;
    "login "*) options="" ;;
    "logout "*) options="" ;;
    "whoami "*) options="" ;;
    "model register") options=" --file --description --baseline --feature --categorical --ignore --prediction --score --label --group --threshold --columns --dataset --code --metric --metrics --param --tag --parent --cause --golden --hardware --runtime --ram --version --strict" ;;
    "model create") options=" --description --tag" ;;
    "model change") options=" --description --tag" ;;
    "model list") options=" --filter --order-by --limit --cursor" ;;
    "model show") options="" ;;
    "model download") options="" ;;
    "model diff") options="" ;;
    "model inspect") options=" --strict" ;;
    "model sign") options=" --key --passphrase-file --signature --ignore-path --follow-links --include-git" ;;
    "model verify") options=" --key --signature --ignore-path --follow-links --ignore-unsigned-files" ;;
    "version show") options="" ;;
    "version list") options=" --filter --order-by --limit --cursor" ;;
    "version search") options=" --filter --order-by --limit --cursor" ;;
    "version check") options=" --device --to" ;;
    "version derive") options=" --by --file --golden --without --description --hardware --runtime --ram --reason --strict" ;;
    "version submit") options=" --reason" ;;
    "version approve") options=" --reason --meaning --key --passphrase-file --yes" ;;
    "version reject") options=" --reason" ;;
    "version move") options=" --reason" ;;
    "version change") options=" --description --tag --metric --param" ;;
    "version tag") options=" --delete" ;;
    "alias set") options=" --reason" ;;
    "alias list") options="" ;;
    "alias delete") options=" --reason" ;;
    "bundle build") options="" ;;
    "bundle inspect") options="" ;;
    "bundle verify") options=" --root --keyset --approvals --log-key --publisher" ;;
    "bundle export") options=" --out" ;;
    "claims add") options=" --predicate --type --key --passphrase-file" ;;
    "claims list") options="" ;;
    "claims show") options="" ;;
    "claims export") options=" --out" ;;
    "claims verify") options=" --key --manifest --content-id --audit --log-key" ;;
    "claims keys") options=" --out" ;;
    "claims trust") options=" --key --reason" ;;
    "claims distrust") options=" --reason" ;;
    "device list") options=" --where --filter --order-by --limit --cursor" ;;
    "device show") options="" ;;
    "device enrol-code") options=" --count --tag --uses --lifetime" ;;
    "device codes") options=" --filter --order-by --limit --cursor" ;;
    "device tag") options="" ;;
    "device revoke") options=" --reason" ;;
    "rollout create") options=" --to --file --waves --canary --success --stop-if --min-sample --soak --deadline --step-deadline --contact-wait --on-failure --unfit --health-gate --slot --window --probation --min-inferences --per-minute --watch" ;;
    "rollout list") options=" --state --filter --order-by --limit --cursor" ;;
    "rollout show") options=" --watch" ;;
    "rollout pause") options=" --reason" ;;
    "rollout resume") options=" --reason" ;;
    "rollout abort") options=" --reason" ;;
    "rollout revert") options=" --reason" ;;
    "monitor set") options=" --file" ;;
    "monitor show") options=" --all" ;;
    "alert list") options=" --state --model --filter --order-by --limit --cursor" ;;
    "alert show") options="" ;;
    "alert ack") options=" --reason" ;;
    "pipeline set") options=" --file" ;;
    "pipeline list") options=" --filter --order-by --limit --cursor" ;;
    "pipeline runs") options=" --filter --order-by --limit --cursor" ;;
    "pipeline show") options="" ;;
    "pipeline run") options=" --model --parent --reason" ;;
    "run show") options="" ;;
    "gate set") options=" --file" ;;
    "gate list") options=" --filter --order-by --limit --cursor" ;;
    "gate show") options="" ;;
    "worker "*) options=" --jobs --name --once --keep" ;;
    "lineage show") options=" --up --down --depth" ;;
    "lineage impact") options="" ;;
    "audit list") options=" --after --newest --object --actor --action --filter --order-by --limit --cursor" ;;
    "audit verify") options=" --key --older --policy --cosigned-after --proof --signatures --no-content" ;;
    "audit export") options=" --out" ;;
    "audit checkpoint") options=" --signed" ;;
    "audit witnesses") options="" ;;
    "audit show") options="" ;;
    "audit proof") options=" --sigsum" ;;
    "project create") options=" --description" ;;
    "project list") options=" --archived --filter --order-by --limit --cursor" ;;
    "project show") options="" ;;
    "project describe") options=" --reason" ;;
    "project archive") options=" --reason" ;;
    "project restore") options=" --reason" ;;
    "user add") options=" --role --service --description" ;;
    "user list") options=" --filter --order-by --limit --cursor" ;;
    "user show") options="" ;;
    "user disable") options=" --reason" ;;
    "user enable") options=" --reason" ;;
    "role list") options="" ;;
    "role grant") options=" --reason" ;;
    "role revoke") options=" --reason" ;;
    "token create") options=" --out --lifetime --label --role --only-project" ;;
    "token list") options=" --filter --order-by --limit --cursor" ;;
    "token rotate") options=" --out --grace --reason" ;;
    "token revoke") options=" --reason" ;;
    "key enrol") options=" --key --passphrase-file --reason" ;;
    "key enrol-me") options=" --key --passphrase-file --reason" ;;
    "key list") options="" ;;
    "key public") options=" --passphrase-file --out" ;;
    "key sign-keyset") options=" --key --passphrase-file --out" ;;
    "key publish") options=" --user --reason" ;;
    "events "*) options=" --follow --after --until" ;;
    "import mlflow") options=" --from --from-token-file --from-user --from-password-file --from-ca --watch --every" ;;
    "completion "*) options="" ;;
    "help "*) options=" --man --all" ;;
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$options --workspace --server --ca --token-file --as --project --json --color --help" -- "$word")) ;;
    *) if [ "$COMP_CWORD" -eq 2 ] && [ -n "$verbs" ]; then
         COMPREPLY=($(compgen -W "$verbs" -- "$word"))
       else
         COMPREPLY=($(compgen -f -- "$word"))
       fi ;;
  esac
}
complete -o filenames -F _tidemark tidemark
