// The entry: decides between the sign-in page and the chat, and fetches the chat's files only when needed.
// It knows nothing of conversations.

import * as api from "./api.js";
import { el } from "./dom.js";
import { words } from "./lang/en.js";

// The session cookie is out of reach of scripts. This note says that there probably is one, so that a first
// visit asks nothing that can only be refused. When storage is blocked, the server is asked each time.
const NOTE = "fireside.signed-in";

/** How the page looks in this browser, as the settings left it: `{ theme, size }`. Read before anything is drawn. */
const LOOK = "fireside.look";

const root = document.getElementById("app");
let leaveChat = () => {};
let chatFiles = null;

applyLook();
settleAddresses();

api.onSignedOut(() => {
  forget();
  showSignIn({ ended: true });
});

// Signing out in one tab signs out the others.
addEventListener("storage", ({ key, newValue }) => {
  if (key === NOTE && newValue === null) location.reload();
});

const setupCode = takeSetupCode();
if (maybeSignedIn() && !setupCode) showChat(api.start());
else showSignIn({ setupCode });

/** Shows the sign-in page; the address stays, so that signing in leads back to it. */
async function showSignIn({ setupCode = "", ended = false } = {}) {
  api.abandonRequests();
  leaveChat();
  leaveChat = () => {};
  let version;
  let page;
  try {
    addFiles("sign-in-files");
    [version, page] = await Promise.all([api.version(), import("./sign-in.js")]);
  } catch {
    return showUnreachable(() => showSignIn({ setupCode, ended }));
  }
  document.title = words.title(words.signIn.submit);
  root.replaceChildren(
    page.signInPage({
      signup: version.signup,
      setupCode,
      notice: ended ? words.signIn.ended : "",
      onSubmit: () => void loadChat(),
      onSignedIn: () => showChat(api.start()),
    }),
  );
  root.querySelector("[autofocus]")?.focus();
}

async function showChat(asked) {
  let chat;
  let begin;
  try {
    [chat, begin] = await Promise.all([loadChat(), asked]);
  } catch (error) {
    // Most likely the server is away; if it is anything else, this is the only trace.
    console.error(error);
    return showUnreachable(() => showChat(api.start()));
  }
  remember();
  leaveChat = chat.mount(root, { begin, onSignOut: leave });
}

function leave() {
  forget();
  // A fresh page: nothing of this person stays in memory.
  location.assign(`${api.ROOT}/ui/`);
}

/** The chat's modules and styles, all asked for at once the first time. */
function loadChat() {
  chatFiles ??= (async () => {
    const [module] = await Promise.all([import("./chat.js"), addFiles("chat-files")]);
    return module;
  })();
  chatFiles.catch(() => (chatFiles = null));
  return chatFiles;
}

/** The shell names files by ways from the address it was loaded at, which is another as soon as a page is opened. */
function settleAddresses() {
  const later = [...document.querySelectorAll("template")].flatMap(({ content }) => [
    ...content.querySelectorAll("link"),
  ]);
  for (const link of later) link.setAttribute("href", new URL(link.getAttribute("href"), location).href);
}

/** Asks for the files that a template of the shell names; resolves once its styles are there. */
export function addFiles(id) {
  const links = document.getElementById(id).content.cloneNode(true);
  const styles = links.querySelector("[rel=stylesheet]");
  const styled =
    styles &&
    new Promise((resolve, reject) => {
      styles.addEventListener("load", resolve);
      styles.addEventListener("error", reject);
    });
  document.head.append(links);
  return styled;
}

/** Puts the chosen theme and text size on the page; without a choice the system's are used. */
export function applyLook() {
  let look = {};
  try {
    look = JSON.parse(localStorage.getItem(LOOK)) ?? {};
  } catch {
    // Without storage the system decides.
  }
  const { dataset } = document.documentElement;
  for (const name of ["theme", "size"]) {
    if (look[name]) dataset[name] = look[name];
    else delete dataset[name];
  }
  return look;
}

/** Keeps a look for this browser, and shows it. */
export function setLook(look) {
  try {
    localStorage.setItem(LOOK, JSON.stringify(look));
  } catch {
    // It lasts as long as the page.
  }
  applyLook();
}

function showUnreachable(retry) {
  const button = el("button", { type: "button", class: "button", onclick: retry }, words.tryAgain);
  root.replaceChildren(el("main", { class: "notice", role: "alert" }, el("p", null, words.unreachable), button));
  button.focus();
}

/** The one-time code in `/ui/#setup=CODE`, which leaves the address so that it is not kept in the history. */
function takeSetupCode() {
  const code = new URLSearchParams(location.hash.slice(1)).get("setup");
  if (code === null) return "";
  history.replaceState(null, "", location.pathname);
  return code;
}

function maybeSignedIn() {
  try {
    return localStorage.getItem(NOTE) !== null;
  } catch {
    return true;
  }
}

function remember() {
  try {
    localStorage.setItem(NOTE, "1");
  } catch {
    // Without storage the server is asked each time, see above.
  }
}

function forget() {
  try {
    localStorage.removeItem(NOTE);
  } catch {
    // As above.
  }
}
