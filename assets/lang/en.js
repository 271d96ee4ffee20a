// Every word the page says, in English. A language is one such file with the same keys.

// An English reader's own region decides how dates look; other languages' forms would mix with the words.
const locale = navigator.languages.find((tag) => tag.startsWith("en")) ?? "en";
const timeOfDay = new Intl.DateTimeFormat(locale, { timeStyle: "short" });
const dateAndTime = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const plurals = new Intl.PluralRules("en");

const count = (n, forms) => `${n} ${forms[plurals.select(n)] ?? forms.other}`;
const duration = (seconds) =>
  seconds < 90
    ? count(seconds, { one: "second", other: "seconds" })
    : count(Math.ceil(seconds / 60), { one: "minute", other: "minutes" });

/** "14:05" today, "3 Mar 2026, 14:05" on any other day. */
export function time(instant) {
  const then = new Date(instant);
  const today = new Date().toDateString() === then.toDateString();
  return (today ? timeOfDay : dateAndTime).format(then);
}

export const words = {
  product: "Fireside",
  title: (page) => (page ? `${page} · Fireside` : "Fireside"),
  unreachable: "Fireside cannot be reached. Check that it is running, then try again.",
  tryAgain: "Try again",
  dismiss: "Dismiss",

  signIn: {
    heading: "Sign in to Fireside",
    submit: "Sign in",
    newHere: "New here?",
    toSignUp: "Create an account",
    closed: "New accounts are made by whoever runs this server.",
    wrong: "This e-mail and password do not match an account. Check both and try again.",
    tooMany: (seconds) => `Too many tries for now. Try again in ${duration(seconds)}.`,
    tooManySoon: "Too many tries for now. Wait a little, then try again.",
    ended: "Your session has ended. Sign in to go on where you were; what you were writing is kept.",
  },
  signUp: {
    heading: "Create your account",
    headingFirst: "Welcome to Fireside",
    first: "Create the first account. It becomes the administrator of this server. Accounts are kept on this machine only.",
    setup: "Create the administrator’s account with the setup code from the terminal.",
    submit: "Create account",
    haveOne: "Have an account?",
    toSignIn: "Sign in",
    taken: "This e-mail has an account already. Sign in with it, or use another.",
    refused: "This server is not taking new accounts. Whoever runs it can make one for you.",
    refusedSetup: "This setup code did not work. It can be used once, within 15 minutes; starting the server again prints a new one.",
  },
  field: {
    email: "E-mail",
    password: "Password",
    setupCode: "Setup code",
    showPassword: "Show password",
    hidePassword: "Hide password",
    emailMissing: "Enter your e-mail.",
    emailWrong: "This does not look like an e-mail address, such as name@example.com.",
    passwordMissing: "Enter a password.",
    setupCodeMissing: "Enter the setup code.",
  },
  unexpected: (status) => `The server answered with an error (${status}). Nothing was changed; try again.`,

  skip: "Skip to the message box",
  sidebar: {
    label: "Conversations",
    open: "Open sidebar",
    close: "Close sidebar",
    newConversation: "New conversation",
    account: "Account: ",
    more: (title) => `More for “${title}”`,
    waiting: "waiting for a reply",
    fresh: "new reply",
    empty: "Your conversations will be listed here.",
    failed: "Your conversations could not be loaded. They are safe on the server.",
    moreFailed: "Older conversations could not be loaded.",
    groups: { pinned: "Pinned", today: "Today", yesterday: "Yesterday", week: "Previous 7 days", older: "Older" },
  },
  untitled: "Untitled conversation",
  newConversation: "New conversation",
  menu: {
    rename: "Rename",
    pin: "Pin",
    unpin: "Unpin",
    delete: "Delete",
    shortcuts: "Keyboard shortcuts",
    signOut: "Sign out",
  },
  renameLabel: "Name of the conversation",
  renameFailed: "The new name was not saved; the old one is kept. Try again.",
  pinFailed: "The change was not saved. Try again.",
  deleted: "Conversation deleted",
  deleteFailed: "The conversation was not deleted. It is back in the list.",
  undo: "Undo",
  undoFailed: "The conversation could not be brought back yet. Try again.",
  signOutFailed: "You are still signed in: the server could not be reached. Try again.",

  welcome: {
    greeting(hour) {
      if (hour >= 5 && hour < 12) return "Good morning";
      return hour >= 12 && hour < 18 ? "Good afternoon" : "Good evening";
    },
    hint: "Ask something, or think out loud.",
    // Stands around the name of the variable.
    first: "Say anything to try it. If the reply repeats your words, that is the built-in model; to talk to a real one, set ",
    firstEnd: " and start Fireside again.",
  },
  conversation: {
    label: "Messages",
    you: "You",
    reply: "Reply",
    earlier: "Show earlier messages",
    earlierFailed: "Earlier messages could not be loaded. Try again.",
    loading: "Loading messages",
    failed: "This conversation could not be loaded. It is safe on the server.",
    missing: "This conversation is not here. It may have been deleted, or belong to another account.",
    empty: "Nothing has been said here yet.",
    thinking: "Thinking",
    late: "This is taking a while. You can leave; the reply will be here when you are back.",
    copy: "Copy",
    copied: "Copied",
    copyFailed: "Copying was refused by the browser. Select the text instead.",
    replied: (text) => `Reply: ${text}`,
    states: {
      interrupted: "The reply was interrupted. What had arrived is kept.",
      stopped: "Stopped.",
      failed: "The reply could not be finished. What had arrived is kept.",
    },
    noReply: "No reply came. Your message is kept.",
    failedReply: (detail) => `${detail || "The model could not answer."} Your message is kept.`,
  },
  composer: {
    label: "Message",
    placeholder: "Write a message",
    send: "Send",
    waiting: "Wait for the reply to send the next message",
    keys: "Enter sends, Shift+Enter starts a new line",
    unreachable: "Fireside could not be reached, so the message was not sent. It is still here; try again when the connection is back.",
    refused: (detail) => `${detail ? `The message was not sent: ${detail}` : "The message was not sent."} It is still here.`,
    busy: (seconds) => `The message was not sent: too many at once. It is still here; try again in ${duration(seconds)}.`,
  },
  shortcuts: {
    heading: "Keyboard shortcuts",
    close: "Close",
    send: "Send the message",
    newLine: "Start a new line",
    newConversation: "New conversation",
    sidebar: "Open or fold the sidebar",
    rename: "Rename the conversation in focus",
    delete: "Delete the conversation in focus",
    undo: "Undo the deletion",
    escape: "Close what is open",
    show: "Show this list",
  },
};
