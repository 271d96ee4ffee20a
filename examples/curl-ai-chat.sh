#!/bin/sh
# A session with the chat API from the command line: make an account, sign in, create a chat, send a message, list the
# chats and read the messages back. Needs a running server and curl, nothing else:
#
#   fireside &
#   sh examples/curl-ai-chat.sh
#
# BASE_URL, EMAIL and PASSWORD change where it goes and as whom.
set -eu

BASE_URL=${BASE_URL:-http://localhost:8000}
EMAIL=${EMAIL:-user@example.com}
PASSWORD=${PASSWORD:-password123}

# The value of a string field of a JSON object on standard input. Good for the flat replies below, whose fields each
# have a name of their own; for anything more, take a real JSON tool.
field() {
    sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"
}

# curl, quiet but for errors; a reply of 400 or more ends the script.
request() {
    curl --silent --show-error --fail-with-body "$@"
}

echo "Is the server there?"
request "$BASE_URL/health"
echo

echo "Register. On the second run the account exists, which is a 409 and no reason to stop."
curl --silent --show-error -X POST "$BASE_URL/auth/register" \
    -H "Content-Type: application/json" \
    -d "{\"email\": \"$EMAIL\", \"password\": \"$PASSWORD\"}" |
    sed 's/\("access_token": *\)"[^"]*"/\1"…"/'
echo

# The token is a secret: it is kept in a variable and never printed.
echo "Sign in and keep the token."
token=$(request -X POST "$BASE_URL/auth/login" \
    -H "Content-Type: application/json" \
    -d "{\"email\": \"$EMAIL\", \"password\": \"$PASSWORD\"}" | field access_token)
test -n "$token"

echo "Create a chat."
chat=$(request -X POST "$BASE_URL/chats" \
    -H "Authorization: Bearer $token" \
    -H "Content-Type: application/json" \
    -d '{"title": "My First Chat"}')
echo "$chat"
chat_id=$(echo "$chat" | field id)
test -n "$chat_id"

echo "Send a message and wait for the reply."
request -X POST "$BASE_URL/chat" \
    -H "Authorization: Bearer $token" \
    -H "Content-Type: application/json" \
    -d "{\"chat_id\": \"$chat_id\", \"message\": \"Hello, AI!\", \"model\": \"fast\"}"
echo

echo "List the chats."
request "$BASE_URL/chats" -H "Authorization: Bearer $token"
echo

echo "Read the messages of this one."
request "$BASE_URL/chats/$chat_id/messages" -H "Authorization: Bearer $token"
echo
