#!/bin/sh
# A stand-in for `codex app-server`: it shakes hands, begins threads and turns, and does what MODE says once.
MODE=@MODE@
turns=0
once() { [ ! -e "$0.done" ] && : >"$0.done"; }
field() { printf '%s' "$line" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
[ "$1" = --version ] && echo "codex-cli 0.171.0" && exit 0
[ "$MODE" = no-start ] && echo "Error: broken home" >&2 && exit 1
while IFS= read -r line; do
  printf '%.2000s\n' "$line" >>"$0.log"
  id=$(printf '%s' "$line" | sed -n 's/^{"id":\([0-9]*\).*/\1/p')
  thread=$(field threadId)
  case "$line" in
  *'"method":"initialize"'*) echo "{\"id\":$id,\"result\":{\"userAgent\":\"stand-in\"}}" ;;
  *'"method":"thread/start"'* | *'"method":"thread/fork"'*) echo "{\"id\":$id,\"result\":{\"thread\":{\"id\":\"t-$$-$id\"}}}" ;;
  *'"method":"thread/resume"'*)
    if [ "$MODE" = stale ]; then
      echo "{\"id\":$id,\"error\":{\"code\":-32600,\"message\":\"no rollout found for thread id $thread\"}}"
    else
      echo "{\"id\":$id,\"result\":{\"thread\":{\"id\":\"$thread\"}}}"
    fi
    ;;
  *'"method":"turn/start"'*)
    [ "$MODE" = dies ] && once && kill -9 $$
    [ "$MODE" = deaf ] && once && sleep 600
    turns=$((turns + 1))
    turn="u-$$-$id"
    own="\"threadId\":\"$thread\",\"turnId\":\"$turn\""
    echo "{\"id\":$id,\"result\":{\"turn\":{\"id\":\"$turn\",\"status\":\"inProgress\"}}}"
    echo "{\"method\":\"turn/started\",\"params\":{\"threadId\":\"$thread\",\"turn\":{\"id\":\"$turn\"}}}"
    if [ "$MODE" = garbage ]; then
      echo "no JSON at all"
      echo '{"method":"quite/new","params":{"threadId":7}}'
      printf '{"method":"quite/long","params":{%s,"text":"' "$own"
      head -c 20971520 /dev/zero | tr '\0' x
      printf '"}}\n'
      echo "{\"id\":99,\"method\":\"item/commandExecution/requestApproval\",\"params\":{$own}}"
      echo "{\"id\":\"odd\",\"method\":\"unknown/request\",\"params\":{$own}}"
    fi
    [ "$MODE" = slow ] && sleep 2
    echo "{\"method\":\"item/agentMessage/delta\",\"params\":{$own,\"itemId\":\"m\",\"delta\":\"Turn $turns\"}}"
    [ "$MODE" = dies-late ] && kill -9 $$
    [ "$MODE" = silent ] && continue
    echo "{\"method\":\"item/agentMessage/delta\",\"params\":{$own,\"itemId\":\"m\",\"delta\":\".\"}}"
    echo "{\"method\":\"item/completed\",\"params\":{$own,\"item\":{\"type\":\"agentMessage\",\"id\":\"m\",\"text\":\"Turn $turns.\"}}}"
    total="\"inputTokens\":$((turns * 100)),\"outputTokens\":$((turns * 7))"
    echo "{\"method\":\"thread/tokenUsage/updated\",\"params\":{$own,\"tokenUsage\":{\"total\":{$total},\"last\":{\"inputTokens\":100,\"outputTokens\":7}}}}"
    echo "{\"method\":\"turn/completed\",\"params\":{\"threadId\":\"$thread\",\"turn\":{\"id\":\"$turn\",\"status\":\"completed\"}}}"
    ;;
  *'"method":"turn/interrupt"'*)
    turn=$(field turnId)
    echo "{\"id\":$id,\"result\":{}}"
    echo "{\"method\":\"turn/completed\",\"params\":{\"threadId\":\"$thread\",\"turn\":{\"id\":\"$turn\",\"status\":\"interrupted\"}}}"
    ;;
  *'"method":"turn/steer"'*)
    turn=$(field expectedTurnId)
    own="\"threadId\":\"$thread\",\"turnId\":\"$turn\""
    echo "{\"id\":$id,\"result\":{\"turnId\":\"$turn\"}}"
    echo "{\"method\":\"item/completed\",\"params\":{$own,\"item\":{\"type\":\"userMessage\",\"id\":\"u\",\"clientId\":\"$(field clientUserMessageId)\"}}}"
    echo "{\"method\":\"item/completed\",\"params\":{$own,\"item\":{\"type\":\"agentMessage\",\"id\":\"s\",\"text\":\"Steered.\"}}}"
    echo "{\"method\":\"turn/completed\",\"params\":{\"threadId\":\"$thread\",\"turn\":{\"id\":\"$turn\",\"status\":\"completed\"}}}"
    ;;
  *) [ -n "$id" ] && echo "{\"id\":$id,\"result\":{}}" ;;
  esac
done
