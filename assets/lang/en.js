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

const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "narrow" });
const dayAndMonth = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" });
const monthAndYear = new Intl.DateTimeFormat(locale, { month: "short", year: "2-digit" });
const dateOnly = new Intl.DateTimeFormat(locale, { dateStyle: "medium" });
const whole = new Intl.NumberFormat(locale);
const short = new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });
const STEPS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "5 min ago" within a week, the date before that. */
export function ago(instant) {
  const seconds = (Date.now() - Date.parse(instant)) / 1000;
  if (seconds > 7 * 86_400) return dateOnly.format(new Date(instant));
  const step = STEPS.find(([, length]) => Math.abs(seconds) >= length);
  return step ? relative.format(-Math.round(seconds / step[1]), step[0]) : "now";
}

export const date = (instant) => dateOnly.format(new Date(instant));
/** A day such as "2026-03-14", short. */
export const day = (text) => dayAndMonth.format(new Date(`${text}T12:00:00`));
/** The month of such a day. */
export const month = (text) => monthAndYear.format(new Date(`${text}T12:00:00`));
export const number = (n) => whole.format(n);
export const compact = (n) => short.format(n);

/** "$1.37"; what is less than a cent keeps two digits that say something. */
export function money(usd) {
  const digits = usd === 0 || usd >= 0.01 ? 2 : Math.min(7, 1 - Math.floor(Math.log10(usd)));
  return `$${usd.toFixed(digits)}`;
}

/** "40 KB" */
export function bytes(n) {
  const power = n < 1000 ? 0 : Math.min(Math.floor(Math.log10(n) / 3), 3);
  const amount = n / 1000 ** power;
  return `${power > 0 && amount < 10 ? amount.toFixed(1) : Math.round(amount)} ${["B", "KB", "MB", "GB"][power]}`;
}

/** What a message cost: "812 in, 240 out · $0.0004"; null where nothing is known. */
export function cost({ input_tokens: given, output_tokens: written, price }) {
  // A reply that broke off before anybody counted is told with zeros.
  if (!given && !written) return null;
  const tokens = `${number(given ?? 0)} in, ${number(written ?? 0)} out`;
  return price ? `${tokens} · ${money(price)}` : tokens;
}

/**
 * What a server said, behind a colon: without the words that its older clients expect before it. It may begin with the name
 * of a provider, which stays as it was given.
 */
const ended = (text) => {
  const said = text.replace(/^Failed to get AI response: /, "").trim();
  return said + (/[.!?…]$/.test(said) ? "" : ".");
};

/** A model's name without its provider, where the rest says enough. */
export const shortModel = (name) => name.slice(name.indexOf("/") + 1) || name;

export const words = {
  product: "Fireside",
  title: (page) => (page ? `${page} · Fireside` : "Fireside"),
  unreachable: "Fireside cannot be reached. Check that it is running, then try again.",
  tryAgain: "Try again",
  dismiss: "Dismiss",
  close: "Close",
  cancel: "Cancel",
  save: "Save",
  saved: "Saved",
  notSaved: (detail) => `Not saved. ${detail || "Try again."}`,
  remove: "Remove",
  edit: "Edit",
  optional: "optional",
  offline: "Offline. Reconnecting…",
  noPage: "There is no such page.",

  signIn: {
    heading: "Sign in to Fireside",
    submit: "Sign in",
    newHere: "New here?",
    toSignUp: "Create an account",
    closed: "New accounts are made by whoever runs this server.",
    wrong: "This e-mail and password do not match an account. Check both and try again.",
    tooMany: (seconds) => `Too many tries for now. Try again in ${duration(seconds)}.`,
    tooManySoon: "Too many tries for now. Wait a little, then try again.",
    setupUsed: "This setup link has been used. Sign in with the account that was made with it.",
    ended: "Your session has ended. Sign in to go on where you were; what you were writing is kept.",
  },
  signUp: {
    heading: "Create your account",
    headingFirst: "Welcome to Fireside",
    first:
      "Create the first account. It becomes the administrator of this server. Accounts are kept on this machine only.",
    setup: "Create the administrator’s account with the setup code from the terminal.",
    setupReady: "Create the administrator’s account. Accounts are kept on this server only.",
    submit: "Create account",
    haveOne: "Have an account?",
    toSignIn: "Sign in",
    taken: "This e-mail has an account already. Sign in with it, or use another.",
    refused: "This server is not taking new accounts. Whoever runs it can make one for you.",
    refusedSetup:
      "This setup code did not work. It can be used once, within 15 minutes; starting the server again prints a new one.",
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

  skip: "Skip to the conversation",
  sidebar: {
    label: "Conversations",
    open: "Open sidebar",
    close: "Close sidebar",
    newConversation: "New conversation",
    search: "Search",
    searchKeys: /Mac/.test(navigator.platform) ? "⌘K" : "Ctrl K",
    tags: "Tags",
    emptyTag: "No conversation has this tag any more.",
    account: "Account: ",
    more: (title) => `More for “${title}”`,
    waiting: "waiting for a reply",
    fresh: "new reply",
    empty: "Your conversations will be listed here.",
    failed: "Your conversations could not be loaded. They are safe on the server.",
    moreFailed: "Older conversations could not be loaded.",
    groups: {
      pinned: "Pinned",
      today: "Today",
      yesterday: "Yesterday",
      week: "Previous 7 days",
      month: "Previous 30 days",
      older: "Older",
      archived: "Archived",
    },
  },
  untitled: "Untitled conversation",
  newConversation: "New conversation",
  menu: {
    rename: "Rename",
    pin: "Pin",
    unpin: "Unpin",
    archive: "Archive",
    unarchive: "Take out of the archive",
    settings: "Conversation settings",
    delete: "Delete",
    shortcuts: "Keyboard shortcuts",
    signOut: "Sign out",
  },
  renameLabel: "Name of the conversation",
  renameFailed: "The new name was not saved; the old one is kept. Try again.",
  changeFailed: "The change was not saved. Try again.",
  archived: "Conversation archived",
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
    noModels: "No model is connected yet. Here is what you can do.",
    noModelsYet: "No model is connected yet; whoever runs this server can add one. Until then there is this.",
    connected: "Providers",
    states: {
      up: (n) => count(n, { one: "model", other: "models" }),
      down: () => "does not answer",
      unknown: () => "not asked yet",
    },
    change: "Change",
    connect: { label: "Connect a model", about: "Paste a provider’s key, or name a server such as Ollama" },
    tryEcho: {
      label: "Try it with echo",
      about: "It says back what you say, and nothing leaves this server",
      text: "Hello, fire",
    },
    tryLibrary: { label: "Ask a library", about: "Add documents, then ask: replies quote them, with no model" },
    suggestions: [
      "Explain the borrow checker with an everyday picture",
      "Plan three simple dinners for a cold week",
      "Help me word a friendly reminder about an unpaid invoice",
    ],
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
    delete: "Delete",
    deleted: "Message deleted, with what came after it",
    deleteFailed: "The message was not deleted. Try again.",
    undoFailed: "The message could not be brought back yet. Try again.",
    copyFailed: "Copying was refused by the browser. Select the text instead.",
    latest: "Jump to the latest message",
    table: "Table",
    ticked: "done",
    unticked: "to do",
    edit: "Edit",
    editHint: "Sending starts a new version; the old one is kept.",
    editSend: "Send",
    again: "Another reply",
    tryAgain: "Try again",
    tryModel: "Try another model…",
    resume: "Continue",
    branches: "Versions",
    previousBranch: "Previous version",
    nextBranch: "Next version",
    branch: (at, of) => `${at} / ${of}`,
    branchFailed: "The other version could not be shown. Try again.",
    stopFailed: "The reply could not be stopped. Try again.",
    reasoning: "Reasoning",
    reasoningNow: "Thinking",
    tool: (name) => `Used ${name}`,
    noAnswer: "the model could not answer",
    replied: (text) => `Reply: ${text}`,
    states: {
      interrupted: "The reply was interrupted. What had arrived is kept.",
      stopped: "Stopped.",
      failed: "The reply could not be finished. What had arrived is kept.",
    },
    reason: (text) => `The reason: ${ended(text)}`,
    unreachable:
      "Fireside could not be reached, so the message was not sent. It is still here; try again when the connection is back.",
    refused: (detail) =>
      `${detail ? `The message was not sent: ${ended(detail)}` : "The message was not sent."} It is still here.`,
    tooLong: "The message was not sent: it is too long. It is still here; shorten it, or attach the text as a file.",
    busy: (seconds) =>
      `The message was not sent: too many at once. It is still here; try again in ${duration(seconds)}.`,
    usedUp: (until) =>
      `The message was not sent: what you may send is used up until ${time(until)}. It is still here; the usage page shows your limits.`,
    notAgain: (detail) => `There is no other reply${detail ? `: ${ended(detail)}` : " yet."} What was there is kept.`,
    noReply: "No reply came. Your message is kept.",
    failedReply: (detail) => `No reply came${detail ? `: ${ended(detail)}` : "."} Your message is kept.`,
  },
  composer: {
    label: "Message",
    placeholder: "Write a message",
    send: "Send",
    waiting: "Wait for the reply to send the next message",
    stop: "Stop",
    attach: "Attach files",
    onlyFiles: "See the attached files.",
    library: "Library",
    libraryOn: "Replies draw on your library",
    libraryOff: "Let replies draw on your library",
    model: (name) => `Model: ${name}`,
    pickModel: "Choose a model",
    keys: "Enter sends, Shift+Enter starts a new line",
    queue: "Send after this reply",
    queued: "Goes out when this reply is done.",
    uploading: "Goes out when the files are there.",
    fileFailed: "One of the files was not uploaded. Remove it, or add it once more.",
  },
  code: { copy: "Copy", copied: "Copied", copyFailed: "Not allowed", wrap: "Wrap long lines" },
  files: {
    label: "Files",
    close: "Close",
    drop: "Drop to attach",
    progress: (name) => `Uploading ${name}`,
    remove: (name) => `Remove ${name}`,
    show: (name) => `Show ${name}`,
    tooMany: (most) => `One message takes at most ${most} files; the first of them are attached.`,
    tooLarge: "Too large",
    failed: "Not uploaded",
  },
  sources: {
    heading: "Sources",
    open: "Open in the library",
    cited: (number) => `Source ${number}`,
  },
  models: {
    heading: "Models",
    search: "Search models",
    none: "No model is called so.",
    builtIn: { echo: "built in: repeats what you say", library: "built in: quotes your library" },
    star: (name) => `Add ${name} to the favourites`,
    unstar: (name) => `Take ${name} out of the favourites`,
  },
  chatSettings: {
    heading: "Conversation settings",
    model: "Model",
    modelDefault: "Your default model",
    prompt: "System prompt",
    promptHint: "What the model is told before all else",
    standard: "Default",
    temperature: "Temperature",
    temperatureHint: "0 is steady, 2 is wild",
    temperatureWrong: "Enter a number from 0 to 2, such as 0.7.",
    tokens: "Longest reply",
    tokensHint: "In tokens",
    tokensWrong: "Enter a whole number from 1 to 1000000.",
    tags: "Tags",
    tagsHint: "work, recipes",
  },
  palette: {
    heading: "Search and commands",
    placeholder: "Search conversations, messages and documents",
    results: "Results",
    commands: "Go to",
    part: (place, part) => `${place}: ${part}`,
    recent: "Recent",
    kinds: { conversation: "Conversations", message: "Messages", document: "Library" },
    none: "Nothing was found.",
    failed: "The search did not answer. Try again.",
    count: (n) => count(n, { one: "result", other: "results" }),
    more: "More results",
    filters: {
      heading: "Filters",
      add: (filter, hint) => (hint ? `${filter} ${hint}` : filter),
      hints: {
        in: "words of a title, messages, titles or documents",
        model: "a model’s name",
        role: "user or assistant",
        before: "a year, a month or a day",
        after: "a year, a month or a day",
      },
    },
  },
  shortcuts: {
    heading: "Keyboard shortcuts",
    palette: "Search, and go anywhere",
    settings: "Settings",
    edit: "Edit the last message, from an empty box",
    write: "Write a message",
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
  library: {
    heading: "Library",
    lead: "Documents that replies can draw on and quote. Turn the library on in a conversation, below the message box.",
    add: "Add files",
    drop: "or drop them here: text, Markdown, PDF, or a list of books as JSON",
    write: "Write a note",
    noteTitle: "Title",
    noteText: "Text",
    search: "Search the library",
    empty: "The library is empty. Add a document, and replies can quote it.",
    emptySearch: "No document matches.",
    failed: "The library could not be loaded.",
    more: "Show more",
    uploading: (names) => `Adding ${names}`,
    added: (n) => `${count(n, { one: "document", other: "documents" })} added`,
    skipped: (title, reason) => `${title}: ${reason}`,
    addFailed: "It was not added. Try again.",
    deleted: (title) => `“${title}” deleted`,
    delete: (title) => `Delete “${title}”`,
    parts: (n) => count(n, { one: "passage", other: "passages" }),
    documents: (n) => count(n, { one: "document", other: "documents" }),
    back: "All documents",
    gone: "This document is not here any more.",
  },
  usage: {
    heading: "Usage",
    lead: "What your replies took, by the prices of their providers.",
    range: "Period",
    ranges: { 7: "7 days", 30: "30 days", 90: "90 days", 365: "A year" },
    cost: "Cost",
    tokens: "Tokens",
    input: "Read",
    output: "Written",
    replies: "Replies",
    byDay: "By day",
    byMonth: "By month",
    byModel: "By model",
    show: "Show",
    day: "Day",
    month: "Month",
    model: "Model",
    plot: (measure, by) => `${measure}, ${by.charAt(0).toLowerCase()}${by.slice(1)}`,
    table: "As a table",
    empty: "Nothing was used in this time.",
    failed: "The usage could not be loaded.",
    at: (label, value) => `${label}: ${value}`,
    limits: "Your limits",
    today: "Sent today",
    thisMonth: "Spent this month",
    files: "Uploaded files",
    of: (used, limit) => `${used} of ${limit}`,
    messages: (n) => count(n, { one: "message", other: "messages" }),
  },
  settings: {
    heading: "Settings",
    sections: {
      "": "Appearance",
      replies: "Replies",
      account: "Account",
      sessions: "Sessions",
      keys: "API keys",
      data: "Your data",
    },
    theme: "Theme",
    themes: { system: "As the system", light: "Light", dark: "Dark" },
    size: "Text size",
    sizes: { small: "Small", normal: "Normal", large: "Large", huge: "Very large" },
    shortcuts: "Keyboard",
    shortcutsLead: "Everything here can be done with the keyboard.",
    model: "Default model",
    modelHint: "New conversations begin with it.",
    modelServer: "The server’s default",
    modelReset: "Use the server’s default",
    prompt: "System prompt",
    promptHint: "What models are told before every conversation that has no prompt of its own.",
    profile: "Profile",
    name: "Name",
    username: "User name",
    email: "E-mail",
    emailHint: "Changing it needs your current password.",
    password: "Password",
    currentPassword: "Current password",
    newPassword: "New password",
    passwordHint: "Changing it ends all your other sessions.",
    passwordChanged: "Password changed. Your other sessions have ended.",
    passwordWrong: "The current password is not right.",
    change: "Change",
    sessionsLead: "Where you are signed in.",
    thisSession: "This session",
    unknownDevice: "Unknown device",
    since: (when) => `since ${when}`,
    until: (when) => `ends ${when}`,
    end: "End",
    ended: "Session ended",
    keysLead: "Keys let programs use Fireside as you, through its own API or the OpenAI-compatible one.",
    keyName: "Name",
    keyNameHint: "What the key is for",
    keyBudget: "Monthly budget in USD",
    keyExpires: "Ends",
    keyLives: { "": "Never", 30: "In 30 days", 90: "In 90 days", 365: "In a year" },
    createKey: "Create key",
    keyMade: "Copy the key now. It is not shown again.",
    keyUsed: (when) => `used ${when}`,
    keyUnused: "never used",
    keySpent: (spent, budget) => `${money(spent)} of ${money(budget)} this month`,
    keyDeleted: (name) => `Key “${name}” deleted`,
    keysEmpty: "No keys yet.",
    delete: (name) => `Delete ${name}`,
    export: "Export",
    exportLead:
      "All your conversations, messages, files and documents: as one file that Fireside takes back, or as Markdown to read.",
    exportButton: "For Fireside (JSON)",
    exportMarkdown: "To read (Markdown)",
    import: "Import",
    importLead:
      "Adds what a file holds to what you have: an export of Fireside, ChatGPT, Claude, Open WebUI, llama.cpp or llm. Nothing is replaced, and nothing comes twice.",
    importButton: "Choose a file",
    importing: "Importing",
    imported({ source, conversations, documents }) {
      const came = `${count(conversations.imported, { one: "conversation", other: "conversations" })} and ${count(documents.imported, { one: "document", other: "documents" })}`;
      const [updated, skipped, failed] = ["updated", "skipped", "failed"].map(
        (name) => conversations[name] + documents[name],
      );
      const rest = [
        updated ? `${count(updated, { one: "was", other: "were" })} brought up to date` : "",
        skipped ? `${count(skipped, { one: "was", other: "were" })} here already` : "",
        failed ? `${failed} could not be stored` : "",
      ].filter(Boolean);
      return [`Imported ${came} from ${source}.`, rest.length > 0 ? `${rest.join(", ")}.` : ""].join(" ").trim();
    },
    leftOut: (n) => `${count(n, { one: "thing", other: "things" })} left out`,
    importKinds: {
      conversation: "A conversation",
      attachment: "A file",
      document: "A document",
      account: "The account",
      settings: "The settings",
      file: "Other files",
    },
    importFailed: (detail) => detail || "Nothing was imported. Try again.",
    failed: "This could not be loaded.",
  },
  admin: {
    heading: "Administration",
    sections: { "": "Users", access: "Access", providers: "Providers", models: "Models", log: "Log", server: "Server" },
    usersLead: "Everybody with an account on this server.",
    addUser: "Add a user",
    role: "Role",
    roles: { admin: "Administrator", user: "User" },
    disabled: "Disabled",
    disable: "Disable",
    enable: "Enable",
    makeAdmin: "Make administrator",
    makeUser: "Make ordinary user",
    userDeleted: (name) => `${name} deleted`,
    you: "you",
    joined: (when) => `joined ${when}`,
    signup: "Sign-up",
    signups: {
      open: "Anybody who reaches this server may make an account",
      closed: "Only administrators make accounts",
    },
    limits: "Limits",
    limitNames: {
      messages_per_minute: "Messages a minute, each user",
      messages_per_day: "Messages a day, each user",
      budget_usd_month: "Budget a month in US dollars, each user",
      upload_quota_mib: "Room for uploaded files in MiB, each user",
    },
    limitHints: {
      messages_per_minute: "0 for no limit; empty for the default: none on this machine alone, else 60.",
      messages_per_day: "Days begin at midnight UTC. 0 or empty for no limit.",
      budget_usd_month: "Months begin on the 1st, UTC. 0 or empty for no limit.",
      upload_quota_mib: "Empty for the default.",
    },
    setLimits: "Limits",
    limitsOf: (name) => `Limits of ${name}`,
    asEverybody: "As for everybody",
    ownLimitNames: {
      messages_per_day: "Messages a day",
      budget_usd_month: "Budget a month in US dollars",
      upload_quota_mib: "Room for uploaded files in MiB",
    },
    ownLimitHints: { messages_per_day: "0 for no limit.", budget_usd_month: "0 for no limit." },
    ownLimits: {
      messages_per_day: (n) =>
        n === 0 ? "no limit a day" : `${count(n, { one: "message", other: "messages" })} a day`,
      budget_usd_month: (usd) => (usd === 0 ? "no budget" : `${money(usd)} a month`),
      upload_quota_mib: (mib) => `${number(mib)} MiB of files`,
    },
    providersLead: "Where replies come from. Pasting a key tries it at once and lists the models.",
    addProvider: "Add a provider",
    providerKind: "Provider",
    providerName: "Name",
    protocol: "Protocol",
    protocols: { openai: "OpenAI", anthropic: "Anthropic" },
    baseUrl: "Address",
    apiKey: "API key",
    apiKeyHint: "Kept on this server and sent to this address only.",
    apiKeyKept: "Left empty, the key stays as it is; with another address it is forgotten.",
    apiKeyLocal: "Local servers need none.",
    trying: "Trying…",
    tryProvider: "Try and add",
    providerAdded: (name, n) =>
      n === 0
        ? `${name} answers, but lists no model.`
        : `${name} works: ${count(n, { one: "model", other: "models" })}.`,
    providerWorks: (n) => count(n, { one: "model", other: "models" }),
    providerDown: (reason) => reason || "not reachable",
    fromEnvironment: "Set by the server’s flags or variables; change it there.",
    sources: { environment: "set by the server’s variables", discovered: "found on this machine" },
    providerFailed: (reason) => `It was added, but does not answer: ${reason}`,
    editProvider: "Change",
    firstModel: (name) => (name ? `The first there is: ${name}` : "The first there is"),
    providerDeleted: (name) => `${name} removed`,
    noProviders: "No provider yet. Add one with its key, or a local server such as Ollama, which needs none.",
    test: (name) => `Try ${name} again`,
    modelsLead: "The model that new conversations begin with, and names that stand for others.",
    defaultModel: "Default model",
    aliases: "Aliases",
    aliasHint: "One model a line. If the first cannot answer, the next is asked.",
    alias: (name) => `Models of ${name}`,
    aliasName: "Name",
    addAlias: "Add an alias",
    health: "Health",
    backup: "Backup",
    backupLead: "A copy of the whole database, taken while the server runs.",
    backupButton: "Download a backup",
    backupMaking: "The copy is being made; the browser keeps it with your downloads.",
    failed: "This could not be loaded.",
    conversations: (n) => count(n, { one: "conversation", other: "conversations" }),
    version: "Version",
    store: "Database",
    turns: "Replies being written",
    turnsOf: (running, max) => `${running} of at most ${max}`,
    states: { healthy: "works", failing: "fails", up: "answers", down: "down", unknown: "not asked yet" },
    healthy: "Everything works",
    failing: "Something is wrong",
  },
  audit: {
    lead: "What administrators have changed. Nobody can change an entry. They are kept for 400 days; beyond 100,000 only those of the last 30 days are, and never more than a million.",
    show: "Show",
    all: "Everything",
    empty: "Nothing of this kind was done.",
    failed: "The log could not be loaded.",
    acts: {
      "user.create": "Made an account",
      "user.update": "Changed an account",
      "user.delete": "Deleted an account",
      "user.act_for": "Acted for an account",
      "signup.update": "Changed who may sign up",
      "limits.update": "Changed the limits",
      "provider.create": "Added a provider",
      "provider.update": "Changed a provider",
      "provider.delete": "Removed a provider",
      "provider.test": "Tried a provider",
      "model.update": "Changed the default model",
      "alias.update": "Changed an alias",
      "alias.delete": "Removed an alias",
      "backup.create": "Took a backup",
      "database.restore": "Restored a backup",
    },
    means: { command_line: "by command", setup: "as the server was set up" },
    fields: {
      role: "Role",
      disabled: "Disabled",
      display_name: "Name",
      password: "Password",
      api_key: "API key",
      name: "Name",
      protocol: "Protocol",
      base_url: "Address",
      models: "Models",
      is_enabled: "Enabled",
      messages_per_minute: "Messages a minute",
      messages_per_day: "Messages a day",
      budget_usd_month: "Budget a month in US dollars",
      upload_quota_mib: "Room for files in MiB",
    },
    values: { true: "yes", false: "no", admin: "administrator" },
    none: "none",
    secret: (name) => `${name} set anew`,
    changed: (name, to, from) => (from ? `${name}: ${to}, was ${from}` : `${name}: ${to}`),
  },
};
