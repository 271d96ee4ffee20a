#!/bin/sh
# A session with the todo assistant's endpoint: begin a conversation, then go on with it. Needs a running server and
# curl, nothing else:
#
#   fireside &
#   sh examples/curl-todo.sh
#
# With a token of your own application (the server knows its BETTER_AUTH_SECRET), set TOKEN, and USER_ID to the identity
# in it. Without one the script signs in to an account of this server, which it registers when it is missing.
set -eu

BASE_URL=${BASE_URL:-http://localhost:8000}
EMAIL=${EMAIL:-todo@example.com}
PASSWORD=${PASSWORD:-password123}
TOKEN=${TOKEN:-}
USER_ID=${USER_ID:-user123}

# The value of a string field of a JSON object on standard input.
field() {
    sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"
}

# The same for a number.
number() {
    sed -n "s/.*\"$1\": *\([0-9][0-9]*\).*/\1/p"
}

# curl, quiet but for errors; a reply of 400 or more ends the script.
request() {
    curl --silent --show-error --fail-with-body "$@"
}

if [ -z "$TOKEN" ]; then
    echo "No TOKEN given: sign in as $EMAIL."
    account="{\"email\": \"$EMAIL\", \"password\": \"$PASSWORD\"}"
    # A 409 says that the account is there from an earlier run.
    curl --silent --show-error --output /dev/null -X POST "$BASE_URL/auth/register" \
        -H "Content-Type: application/json" -d "$account"
    TOKEN=$(request -X POST "$BASE_URL/auth/login" \
        -H "Content-Type: application/json" -d "$account" | field access_token)
    # The path of the endpoint holds who is asking; for a local account that is its id.
    USER_ID=$(request "$BASE_URL/users/me" -H "Authorization: Bearer $TOKEN" | field id)
fi
test -n "$TOKEN"
test -n "$USER_ID"

echo "Begin a conversation."
first=$(request -X POST "$BASE_URL/api/$USER_ID/chat" \
    -H "Content-Type: application/json" \
    -H "Authorization: Bearer $TOKEN" \
    -d '{"message": "Hello, how are you?"}')
echo "$first"
conversation=$(echo "$first" | number conversation_id)
test -n "$conversation"

echo "Go on with it."
request -X POST "$BASE_URL/api/$USER_ID/chat" \
    -H "Content-Type: application/json" \
    -H "Authorization: Bearer $TOKEN" \
    -d "{\"message\": \"Tell me more about yourself\", \"conversation_id\": $conversation}"
echo
