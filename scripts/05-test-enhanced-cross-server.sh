#!/usr/bin/env bash
# Checks with curl, against a running cluster, that two of its instances behave as one filesystem: conflict detection and the
# routing of PUT, DELETE, HEAD and GET, in both directions. It works in a folder of its own and removes that at the end.
#
# Settings (environment): CALLFS_SERVER1_URL, CALLFS_SERVER2_URL, CALLFS_API_KEY; what is not set is read from ./.callfs-demo-s3,
# which is there while `npm run demo:s3` runs, or else from ./.callfs-demo, where `npm start` keeps its files. CALLFS_CURL_OPTIONS is given to curl, e.g. -k for self-signed certificates.
# Exit code: 0 when every check is ok, 1 when one failed.
set -u

demo=.callfs-demo
[ ! -d .callfs-demo-s3 ] || demo=.callfs-demo-s3
work=$(mktemp -d) || exit 1
base="/callfs-test-$(date +%Y%m%d-%H%M%S)-$$-$RANDOM"
checks=0
failures=0
made=no
read -r -a curl_options <<<"${CALLFS_CURL_OPTIONS:-}"

main() {
  settings
  connect
  both_directions 'POST: a file conflict is detected' post_file_conflict
  both_directions 'POST: conflicts with directories are detected' post_directory_conflicts
  both_directions 'PUT: the file is updated where it lies' put_routing
  both_directions 'HEAD: metadata comes from the owner' head_metadata
  both_directions 'GET: content comes from the owner' get_content
  both_directions 'DELETE: what another server holds is removed' delete_routing
  remove_everything
  summary
}

# --- settings ---

settings() {
  url1=${CALLFS_SERVER1_URL:-$(demo_url 1)}
  url2=${CALLFS_SERVER2_URL:-$(demo_url 2)}
  url1=${url1%/}
  url2=${url2%/}
  key=${CALLFS_API_KEY:-$(demo_key)}
  if [ -z "$url1" ] || [ -z "$url2" ] || [ -z "$key" ]; then
    echo "Start a demo (npm start, npm run demo:s3) in this folder, or set CALLFS_SERVER1_URL, CALLFS_SERVER2_URL and CALLFS_API_KEY." >&2
    exit 1
  fi
  # In a file, so that the key is not in the list of processes.
  printf 'Authorization: Bearer %s\n' "$key" >"$work/authorization"
}

demo_url() {
  [ ! -r "$demo/instance-$1.yaml" ] || sed -n 's/^ *external_url: *"\{0,1\}\([^"]*\)"\{0,1\} *$/\1/p' "$demo/instance-$1.yaml"
}

demo_key() {
  [ ! -r "$demo/keys.json" ] || sed -n 's/^ *"alice": *"\([^"]*\)".*$/\1/p' "$demo/keys.json"
}

# --- requests ---

# request METHOD URL [curl options]: sets $status ("000" without an answer), $body and $headers.
request() {
  local method=$1 url=$2
  shift 2
  local how=(--request "$method")
  [ "$method" != HEAD ] || how=(--head)
  : >"$work/headers"
  : >"$work/body"
  # The funny expansion is for bash 3, to which an empty array is an unset variable.
  status=$(curl --silent --show-error --connect-timeout 5 --max-time 60 ${curl_options[@]+"${curl_options[@]}"} \
    --header "@$work/authorization" --dump-header "$work/headers" --output "$work/body" --write-out '%{http_code}' \
    "${how[@]}" "$@" "$url" 2>"$work/error")
  body=$(cat "$work/body")
  [ "$method" != HEAD ] || body=''
  headers=$(sed $'s/\r$//' "$work/headers")
}

# header NAME: the value of a header of the last answer.
header() {
  grep -i "^$1:" <<<"$headers" | sed 's/^[^:]*: *//'
}

# field NAME: a text of the JSON object that is the last answer; not one of an object within it.
field() {
  sed -n "s/^{[^{}]*\"$1\" *: *\"\([^\"]*\)\".*$/\1/p" <<<"$body"
}

# --- checks ---

check() {
  local what=$1 want=$2 got=$3
  checks=$((checks + 1))
  if [ "$want" = "$got" ]; then
    echo "  ok      $what"
  else
    failures=$((failures + 1))
    echo "  FAILED  $what: expected '$want', got '$got'$(reason)"
  fi
}

# check_like WHAT PATTERN TEXT: the pattern is an extended regular expression for the whole text.
check_like() {
  local want=$3
  grep -Eqx -e "$2" <<<"$3" || want="something like $2"
  check "$1" "$want" "$3"
}

reason() {
  if [ "$status" = 000 ]; then
    echo " ($(cat "$work/error"))"
  elif [ -n "$body" ] && [ "${#body}" -lt 1000 ]; then
    echo " (the answer was $status $body)"
  fi
}

# both_directions TITLE FUNCTION: FUNCTION runs with $owner, $owner_id, $other, $other_id and a new folder $dir.
both_directions() {
  local title=$1 run=$2
  owner=$url1 owner_id=$id1 other=$url2 other_id=$id2 dir="$base/$run-1"
  echo "$title (server 1 holds it, server 2 is asked)"
  "$run"
  owner=$url2 owner_id=$id2 other=$url1 other_id=$id1 dir="$base/$run-2"
  echo "$title (server 2 holds it, server 1 is asked)"
  "$run"
}

files() {
  echo "$1/v1/files$2"
}

connect() {
  echo "Server 1: $url1"
  echo "Server 2: $url2"
  echo 'Both servers answer, and are two'
  request PUT "$(files "$url1" "$base/one")" --data one
  check 'server 1 creates a file' 201 "$status"
  [ "$status" != 201 ] || made=yes
  id1=$(header x-callfs-instance-id)
  request PUT "$(files "$url2" "$base/two")" --data two
  check 'server 2 creates a file' 201 "$status"
  [ "$status" != 201 ] || made=yes
  id2=$(header x-callfs-instance-id)
  # With one server missing, or the same one twice, the other checks would say nothing.
  [ "$failures" -eq 0 ] || summary
  check_like 'server 1 names its instance' '.+' "$id1"
  check "server 2 is not $id1" yes "$([ "$id1" != "$id2" ] && echo yes)"
  [ "$failures" -eq 0 ] || summary
}

post_file_conflict() {
  local path="$dir/file.txt"
  request POST "$(files "$owner" "$path")" --data content
  check "POST at $owner_id creates the file" 201 "$status"
  check 'the file lies there' "$owner_id" "$(header x-callfs-instance-id)"
  request POST "$(files "$other" "$path")" --data 'different content'
  check "POST at $other_id is a conflict" 409 "$status"
  check_conflict "$path" 'File already exists on another server. Use PUT to update it.'
  local update_url
  update_url=$(field update_url)
  check_like 'JSON field update_url is the URL of the file' "https?://[^/]+(/.*)?/v1/files$path" "$update_url"
  request PUT "$update_url" --data 'content by update_url'
  check 'PUT to update_url replaces the file' 200 "$status"
  check 'PUT to update_url reaches the owner' "$owner_id" "$(header x-callfs-instance-id)"
  request GET "$(files "$owner" "$path")"
  check 'the conflict changed nothing, the PUT did' 'content by update_url' "$body"
}

# check_conflict PATH SUGGESTION: the fields of the JSON.
check_conflict() {
  check 'JSON field error' 'Resource exists on another server' "$(field error)"
  check 'JSON field existing_path' "$1" "$(field existing_path)"
  check 'JSON field instance_id' "$owner_id" "$(field instance_id)"
  check 'JSON field backend_type' "$(header_of_owner "$1" x-callfs-backend-type)" "$(field backend_type)"
  check 'JSON field suggestion' "$2" "$(field suggestion)"
}

# header_of_owner PATH NAME: to be called in $(…), where it leaves the last answer alone.
header_of_owner() {
  request HEAD "$(files "$owner" "$1")"
  header "$2"
}

post_directory_conflicts() {
  request POST "$(files "$owner" "$dir/folder/")"
  check "POST at $owner_id creates the directory" 201 "$status"
  request POST "$(files "$other" "$dir/folder/")"
  check "POST of the directory at $other_id is a conflict" 409 "$status"
  check_conflict "$dir/folder" 'Directory already exists on another server. Use GET to access it.'
  check 'no JSON field update_url for directories' '' "$(field update_url)"
  request POST "$(files "$other" "$dir/folder")" --data content
  check "POST of a file over it at $other_id is a conflict" 409 "$status"
  check_conflict "$dir/folder" 'Path exists as directory on another server, cannot create file'
  request POST "$(files "$owner" "$dir/file")" --data content
  check "POST at $owner_id creates a file" 201 "$status"
  request POST "$(files "$other" "$dir/file/")"
  check "POST of a directory over it at $other_id is a conflict" 409 "$status"
  check_conflict "$dir/file" 'Path exists as file on another server, cannot create directory'
}

put_routing() {
  local path="$dir/file.txt" long
  request PUT "$(files "$owner" "$path")" --data content
  check "PUT at $owner_id creates the file" 201 "$status"
  request PUT "$(files "$other" "$path")" --data 'updated content'
  check "PUT at $other_id replaces it" 200 "$status"
  check 'the file still lies at its owner' "$owner_id" "$(header x-callfs-instance-id)"
  check_content "$path" 'updated content'
  long=$(printf 'a long line of content %06d\n' {1..20000})
  printf '%s' "$long" >"$work/upload"
  request PUT "$(files "$other" "$path")" --data-binary "@$work/upload"
  check "PUT of ${#long} bytes at $other_id replaces it" 200 "$status"
  check_content "$path" "$long"
  request PUT "$(files "$other" "$path")" --data-binary "@$work/upload" --header 'Transfer-Encoding: chunked'
  check "PUT without a declared length at $other_id replaces it" 200 "$status"
  check_content "$path" "$long"
}

check_content() {
  local server
  for server in "$owner" "$other"; do
    request GET "$(files "$server" "$1")"
    check "GET at $(name_of "$server") answers" 200 "$status"
    check 'and gives that content' yes "$([ "$body" = "$2" ] && echo yes)"
  done
}

name_of() {
  if [ "$1" = "$owner" ]; then echo "$owner_id"; else echo "$other_id"; fi
}

head_metadata() {
  local path="$dir/file.txt" at_owner
  request PUT "$(files "$owner" "$path")" --data '0123456789'
  check "PUT at $owner_id creates the file" 201 "$status"
  request HEAD "$(files "$owner" "$path")"
  check "HEAD at $owner_id answers" 200 "$status"
  at_owner=$(described_by)
  request HEAD "$(files "$other" "$path")"
  check "HEAD at $other_id answers" 200 "$status"
  check_file_headers 10
  check 'both servers say the same' "$at_owner" "$(described_by)"
  request HEAD "$(files "$other" "$dir")"
  check "HEAD of the directory at $other_id answers" 200 "$status"
  check 'X-CallFS-Type of the directory' directory "$(header x-callfs-type)"
  request HEAD "$(files "$other" "$dir/nothing.txt")"
  check "HEAD of what does not exist at $other_id" 404 "$status"
}

# check_file_headers SIZE
check_file_headers() {
  check 'X-CallFS-Type' file "$(header x-callfs-type)"
  check 'X-CallFS-Size' "$1" "$(header x-callfs-size)"
  check 'Content-Length' "$1" "$(header content-length)"
  check_like 'X-CallFS-Mode' '0[0-7]{3}' "$(header x-callfs-mode)"
  check_like 'X-CallFS-UID' '[0-9]+' "$(header x-callfs-uid)"
  check_like 'X-CallFS-GID' '[0-9]+' "$(header x-callfs-gid)"
  check_like 'X-CallFS-Owner' '.+' "$(header x-callfs-owner)"
  check_like 'X-CallFS-MTime' '[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z' "$(header x-callfs-mtime)"
  check 'X-CallFS-Instance-ID' "$owner_id" "$(header x-callfs-instance-id)"
  check_like 'X-CallFS-Backend-Type' 'localfs|s3' "$(header x-callfs-backend-type)"
  check_like 'ETag' '".+"' "$(header etag)"
}

# What the headers of the last answer tell about the file.
described_by() {
  local name
  for name in x-callfs-{type,size,mode,uid,gid,owner,mtime,instance-id,backend-type} etag last-modified content-type; do
    echo "$name: $(header "$name")"
  done
}

get_content() {
  local path="$dir/a name with spaces + 100% é.txt" encoded="$dir/a%20name%20with%20spaces%20+%20100%25%20%C3%A9.txt"
  request POST "$(files "$owner" "$encoded")" --data 'content to read'
  check "POST at $owner_id creates '$path'" 201 "$status"
  check_content "$encoded" 'content to read'
  check_file_headers 15
  request GET "$other/v1/directories$dir"
  check "the listing at $other_id answers" 200 "$status"
  check 'and names the file' "$path" "$(sed -n 's/.*"items":\[{[^}]*"path":"\([^"]*\)".*/\1/p' <<<"$body")"
}

delete_routing() {
  local path="$dir/file.txt"
  request POST "$(files "$owner" "$path")" --data content
  check "POST at $owner_id creates a file" 201 "$status"
  request DELETE "$(files "$other" "$path")"
  check "DELETE of the file at $other_id" 204 "$status"
  check_gone "$path"
  request POST "$(files "$owner" "$dir/folder/")"
  check "POST at $owner_id creates a directory" 201 "$status"
  request POST "$(files "$owner" "$dir/folder/file.txt")" --data content
  check "POST at $owner_id creates a file in it" 201 "$status"
  request DELETE "$(files "$other" "$dir/folder")"
  check "DELETE of the directory, not empty, at $other_id" 409 "$status"
  check 'JSON field code' DIRECTORY_NOT_EMPTY "$(field code)"
  request DELETE "$(files "$other" "$dir/folder/file.txt")"
  check "DELETE of the file in it at $other_id" 204 "$status"
  request DELETE "$(files "$other" "$dir/folder")"
  check "DELETE of the directory, now empty, at $other_id" 204 "$status"
  check_gone "$dir/folder"
}

check_gone() {
  local server
  for server in "$owner" "$other"; do
    request GET "$(files "$server" "$1")"
    check "it is gone at $(name_of "$server")" 404 "$status"
  done
}

# --- end ---

remove_everything() {
  echo 'What this test made is removed'
  request DELETE "$(files "$url1" "$base")?recursive=true"
  check 'DELETE of everything at server 1' 204 "$status"
  [ "$status" != 204 ] || made=no
  request HEAD "$(files "$url2" "$base")"
  check 'it is gone at server 2' 404 "$status"
}

summary() {
  echo
  if [ "$failures" -eq 0 ]; then
    echo "All $checks checks are ok."
    exit 0
  fi
  echo "$failures of $checks checks FAILED."
  exit 1
}

clean_up() {
  if [ "$made" = yes ]; then
    request DELETE "$(files "$url1" "$base")?recursive=true"
    [ "$status" = 204 ] || request DELETE "$(files "$url2" "$base")?recursive=true"
  fi
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

main
