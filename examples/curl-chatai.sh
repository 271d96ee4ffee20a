#!/bin/sh
# What ChatAI's client does, from the command line: make an account, sign in in both ways, see which models there are,
# send a message with a file, go on with the conversation, get the file back, see what it all cost, and clear away.
# Needs a running server and curl, nothing else:
#
#   fireside &
#   sh examples/curl-chatai.sh
#
# BASE_URL, EMAIL and PASSWORD change where it goes and as whom.
set -eu

BASE_URL=${BASE_URL:-http://localhost:8000}
EMAIL=${EMAIL:-chatai@example.com}
PASSWORD=${PASSWORD:-password123}

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

echo "Register. On the second run the account exists, which is a 409 and no reason to stop."
curl --silent --show-error -X POST "$BASE_URL/auth/register" \
    -H "Content-Type: application/json" \
    -d "{\"email\": \"$EMAIL\", \"password\": \"$PASSWORD\", \"display_name\": \"User\"}" |
    sed 's/\("access_token": *\)"[^"]*"/\1"…"/'
echo

# The tokens are secrets: they are kept in variables and never printed.
echo "Sign in with JSON, and again with the form; either token will do."
token=$(request -X POST "$BASE_URL/auth/login" \
    -H "Content-Type: application/json" \
    -d "{\"email\": \"$EMAIL\", \"password\": \"$PASSWORD\"}" | field access_token)
test -n "$token"
token=$(request -X POST "$BASE_URL/auth/token" \
    --data-urlencode "username=$EMAIL" \
    --data-urlencode "password=$PASSWORD" | field access_token)
test -n "$token"

echo "Who is this?"
request "$BASE_URL/users/me" -H "Authorization: Bearer $token"
echo

echo "Which models are there?"
request "$BASE_URL/models"
echo

echo "Send a message with a file. Without a conversation_id it begins a conversation."
sent=$(printf 'Tea is at five.\n' | request -X POST "$BASE_URL/chat/" \
    -H "Authorization: Bearer $token" \
    -F "text=Hello, ChatAI!" \
    -F "model=gpt-4.1-nano" \
    -F "files=@-;filename=notes.txt;type=text/plain")
echo "$sent"
conversation=$(echo "$sent" | number conversation_id)
reply=$(echo "$sent" | number response_message_id)
test -n "$conversation"
test -n "$reply"

echo "Go on with it."
request -X POST "$BASE_URL/chat/" \
    -H "Authorization: Bearer $token" \
    -F "text=Tell me more" \
    -F "conversation_id=$conversation"
echo

echo "List the conversations, and the messages of this one."
request "$BASE_URL/conversations/" -H "Authorization: Bearer $token"
echo
messages=$(request "$BASE_URL/conversations/$conversation/messages" -H "Authorization: Bearer $token")
echo "$messages"

echo "Get the file back."
attachment=$(echo "$messages" | sed -n 's/.*"attachments": *\[{"id": *\([0-9][0-9]*\).*/\1/p')
test -n "$attachment"
request "$BASE_URL/attachments/$attachment" -H "Authorization: Bearer $token"

echo "What would a model be given before the next message?"
request "$BASE_URL/conversations/$conversation/context" -H "Authorization: Bearer $token"
echo

echo "What did the reply cost, and what the conversation?"
request "$BASE_URL/chat/messages/$reply/usage-details" -H "Authorization: Bearer $token"
echo
request "$BASE_URL/chat/$conversation/usage-details" -H "Authorization: Bearer $token"
echo

echo "Rename the conversation, and delete it."
request -X PUT "$BASE_URL/conversations/$conversation/rename?new_title=Tea%20time" -H "Authorization: Bearer $token"
echo
request -X DELETE "$BASE_URL/conversations/$conversation" -H "Authorization: Bearer $token"
echo
