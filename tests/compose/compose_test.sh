#!/usr/bin/env bash
# Does with Docker Compose what a person does: build, start, upload a record, read its labels; then
# the worker is killed twice, and everything is stopped and started again. Ends with exit code 1 at
# the first thing that is not as it should be. A stack that already runs here is left alone: this one
# has a project name, a port, volumes and image tags of its own, and removes them at the end.
#
#   make compose-test            KEEP=1 make compose-test     leaves the stack running
set -euo pipefail
cd "$(dirname "$0")/../.."

# what this shell or a .env file sets for other stacks has no part in this one
for name in $(compgen -e ECTOPY_ || true); do unset "$name"; done
PROJECT=ectopy-compose-test
export ECTOPY_TAG=compose-test
CHANGED_TAG=compose-test-changed
WORK=$(mktemp -d)
START=$SECONDS

say() { printf '[%4ds] %s\n' "$((SECONDS - START))" "$*"; }
fail() { printf 'compose-test: %s\n' "$*" >&2; exit 1; }
compose() { docker compose --env-file /dev/null --project-name "$PROJECT" "$@"; }
container() { compose ps --all --quiet "$1"; }
answers() { python3 tests/compose/answers.py "$@"; }
seconds() { awk -v a="$1" -v b="$(date +%s.%N)" 'BEGIN {printf "%.1f s", b - a}'; }

timed() { # WHAT COMMAND...: runs it, says how long it took; its output only where it fails
  local what=$1 began; shift
  began=$(date +%s.%N)
  "$@" >"$WORK/output" 2>&1 || { tail -n 60 "$WORK/output" >&2; fail "failed: $what"; }
  say "$what: $(seconds "$began")"
}

finish() {
  local code=$?
  trap - EXIT
  if [ "$code" != 0 ] && [ -n "$(compose ps --all --quiet 2>/dev/null)" ]; then
    compose ps --all >&2 || true
    compose logs --no-color --tail 40 >&2 || true
  fi
  if [ "${KEEP:-}" = 1 ]; then
    echo "left running: docker compose -p $PROJECT ps; ECTOPY_TAG=$ECTOPY_TAG ECTOPY_PORT=$ECTOPY_PORT"
  else
    remove_everything
  fi
  rm -rf "$WORK"
  exit "$code"
}

remove_everything() {
  compose down --volumes --remove-orphans --timeout 20 >/dev/null 2>&1 || true
  docker image rm "ectopy-api:$ECTOPY_TAG" "ectopy-worker:$ECTOPY_TAG" \
    "ectopy-api:$CHANGED_TAG" "ectopy-worker:$CHANGED_TAG" >/dev/null 2>&1 || true
}

# --- what is needed -------------------------------------------------------------------------------

for tool in docker curl python3; do
  command -v "$tool" >/dev/null || fail "needs $tool, which is not installed here"
done
docker info >/dev/null 2>&1 || fail "no Docker engine answers (\`docker info\` fails)"
docker compose version >/dev/null 2>&1 || fail "needs Compose v2 (\`docker compose version\` fails)"
ECTOPY_PORT=$(python3 -c 'import socket
with socket.socket() as s: s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export ECTOPY_PORT
URL=http://127.0.0.1:$ECTOPY_PORT

call() { curl --silent --show-error --noproxy '*' --max-time 90 "$@"; }

predict() { # INTO: uploads the sample, waits for its labels, checks them
  local labels
  call -H 'Prefer: wait=60' -F file=@examples/208_excerpt.hea -F file=@examples/208_excerpt.dat \
    --output "$1" "$URL/v1/predict/beats"
  labels=$(answers beats "$1") || exit 1
  say "labels: $labels"
}

kill_from_outside() { # CONTAINER: its process dies as in a crash, which sets off the restart policy
  docker run --rm --pid host --user 0:0 --network none --entrypoint sh "ectopy-api:$ECTOPY_TAG" \
    -c "kill -9 $(docker inspect --format '{{.State.Pid}}' "$1")"
}

# --- what must hold of the containers -------------------------------------------------------------

check_no_root() {
  local service id
  for service in api worker postgres redis; do
    id=$(container "$service")
    docker top "$id" -eo uid,pid | awk 'NR > 1 && $1 == 0 {bad = 1} END {exit bad || NR < 2}' ||
      fail "$service has a process of root"
    if docker exec "$id" touch /written 2>/dev/null; then fail "$service can write its own image"; fi
    docker exec "$id" grep -q '^CapBnd:[[:space:]]*0*$' /proc/1/status ||
      fail "$service has capabilities"
  done
}

check_images() {
  local has="import importlib.util as u; raise SystemExit(u.find_spec('torch') is None)"
  docker run --rm --network none --entrypoint python "ectopy-worker:$ECTOPY_TAG" -c "$has" ||
    fail "the worker's image has no torch"
  if docker run --rm --network none --entrypoint python "ectopy-api:$ECTOPY_TAG" -c "$has"; then
    fail "the API's image has torch in it"
  fi
}

check_packaged() { # whatever is in the source folders is in the image: page, migrations, models
  local folders="api ectopy migrations services worker" missing
  # shellcheck disable=SC2086  # several names
  find $folders -type f -not -path '*/__pycache__/*' | sort >"$WORK/sources"
  docker run --rm --network none --entrypoint python "ectopy-api:$ECTOPY_TAG" -c "import os, api
os.chdir(os.path.dirname(os.path.dirname(api.__file__)))
raise SystemExit(os.system('find $folders -type f'))" | sort >"$WORK/packaged"
  missing=$(comm -23 "$WORK/sources" "$WORK/packaged")
  [ -z "$missing" ] || fail "not in the image: $missing"
}

check_ports() {
  local id published
  published=$(for id in $(compose ps --quiet); do
    docker inspect --format \
      '{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}}:{{.HostPort}} {{end}}{{end}}' "$id"
  done | tr -d ' \n')
  [ "$published" = "127.0.0.1:$ECTOPY_PORT" ] || fail "published: $published"
}

check_networks() { # what only other services talk to has no way out of this machine
  local service networks
  for service in worker postgres redis; do
    networks=$(docker inspect "$(container "$service")" --format \
      '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}')
    # shellcheck disable=SC2086  # several names
    [ "$(docker network inspect --format '{{.Internal}}' $networks | sort -u)" = true ] ||
      fail "$service is on a network with a way out of this machine: $networks"
  done
}

check_passwords() {
  local kind password where
  compose config >"$WORK/seen.config"
  compose ps --all --quiet | xargs docker inspect >"$WORK/seen.inspect"
  for where in $(compose ps --quiet); do docker top "$where" -eo pid,args; done >"$WORK/seen.processes"
  compose logs --no-color >"$WORK/seen.logs" 2>&1
  for kind in database broker; do
    password=$(docker exec "$(container api)" cat "/run/ectopy/$kind/password")
    [ "${#password}" -ge 32 ] || fail "the $kind password has ${#password} characters"
    for where in config inspect processes logs; do
      if grep -qF "$password" "$WORK/seen.$where"; then fail "the $kind password is in $where"; fi
    done
  done
  if grep -E 'PASSWORD(: |=)' "$WORK/seen.config"; then fail "the compose file has a password in it"; fi
  docker exec "$(container redis)" redis-cli ping 2>&1 | grep -q NOAUTH ||
    fail "redis answers without a password"
  docker exec "$(container api)" python -c '
import psycopg
try:
    psycopg.connect("host=postgres user=ectopy dbname=ectopy password=guess", connect_timeout=5)
except psycopg.OperationalError as error:
    raise SystemExit("password authentication failed" not in str(error))
raise SystemExit(1)' || fail "postgres answers with any password"
}

check_gpu_override() {
  docker compose --env-file /dev/null -f docker-compose.yml -f docker-compose.gpu.yml config |
    grep -q 'driver: nvidia' || fail "docker-compose.gpu.yml gives the worker no GPU"
}

build_after_a_change() { # in a copy: one more line in a module that everything uses
  local tree=$WORK/tree name
  mkdir "$tree"
  for name in .dockerignore Dockerfile.gpu docker-compose.yml pyproject.toml constraints.txt README.md LICENSE NOTICE \
    api ectopy migrations services worker; do cp -r "$name" "$tree"; done
  echo "# $(date +%s.%N): never built before" >>"$tree/services/ids.py"
  (cd "$tree" && ECTOPY_TAG=$CHANGED_TAG compose build)
}

size() { docker image inspect --format '{{.Size}}' "$1" | awk '{printf "%.0f MB", $1 / 1e6}'; }

wait_for_restart() { # CONTAINER: until the engine has started it again and it is healthy
  local i
  for i in $(seq 120); do
    [ "$(docker inspect --format '{{.RestartCount}} {{.State.Health.Status}}' "$1")" = "1 healthy" ] &&
      return
    sleep 1
  done
  fail "the worker was not restarted, or is not healthy, after 120 s"
}

# --- the test -------------------------------------------------------------------------------------

remove_everything # of a run that was cut off
trap finish EXIT

check_gpu_override
timed "build" compose build
say "images: api $(size "ectopy-api:$ECTOPY_TAG"), worker $(size "ectopy-worker:$ECTOPY_TAG"), both on" \
  "the base $(size python:3.11-slim-bookworm)"
check_packaged
check_images
timed "build after a change of one line" build_after_a_change
timed "first start (up --wait)" compose up --detach --wait --wait-timeout 240
check_no_root
check_ports
check_networks
check_passwords
say "nothing runs as root, one port on 127.0.0.1, no password in sight"

predict "$WORK/first.json"
ID=$(answers id "$WORK/first.json")
call --output "$WORK/beats.csv" "$URL/v1/predictions/$ID/beats.csv"
answers csv "$WORK/first.json" "$WORK/beats.csv"
call --output "$WORK/records.json" "$URL/v1/records"
answers listed "$WORK/first.json" "$WORK/records.json"

say "killing the worker: docker kill (a stop by hand, which no restart policy undoes)"
docker kill --signal KILL "$(container worker)" >/dev/null
timed "start of the worker" compose up --detach --wait --wait-timeout 240
predict "$WORK/second.json"

say "killing the worker's process; the engine starts it again while a prediction waits"
kill_from_outside "$(container worker)"
predict "$WORK/third.json"
wait_for_restart "$(container worker)"

timed "down" compose down
[ -z "$(compose ps --all --quiet)" ] || fail "containers are left after down"
timed "second start (up --wait)" compose up --detach --wait --wait-timeout 240
call --output "$WORK/records.json" "$URL/v1/records"
answers listed "$WORK/first.json" "$WORK/records.json"
call --output "$WORK/again.json" "$URL/v1/predictions/$ID"
answers same "$WORK/first.json" "$WORK/again.json"
say "record and prediction are still there"
predict "$WORK/fourth.json"
say "compose-test passed"
