// Addresses of pages, and going from one to the next. Each page has one, so that the back button, a reload
// and a link in a new tab all lead where they should.

import { ROOT } from "./api.js";
import { words } from "./lang/en.js";
import { toast } from "./overlay.js";
import { update } from "./store.js";

export const HOME = `${ROOT}/ui/`;
/** The pages beside conversations, and whether each has sections with addresses of their own. */
const PAGES = ["settings", "usage", "library", "admin"];

export const address = (id) => `${HOME}c/${id}`;
export const pageAddress = (page, section) => HOME + page + (section ? `/${section}` : "");

/** Follows the address, links within the page and the back button until `signal` aborts. */
export function start(signal) {
  addEventListener("popstate", follow, { signal });
  document.addEventListener(
    "click",
    (event) => {
      const link = event.target.closest?.("a[href]");
      // Another button or a modifier means a new tab or window, which is the browser's to open.
      const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
      if (!link || !plain || !link.pathname?.startsWith(HOME) || link.origin !== location.origin) return;
      // A place on the page that is shown is the browser's to go to.
      if (link.hash && link.pathname === location.pathname) return;
      event.preventDefault();
      go(link.pathname + link.hash);
    },
    { signal },
  );
  follow();
}

export function go(path) {
  if (path !== location.pathname) history.pushState(null, "", path);
  follow();
}

function follow() {
  const [page, rest = ""] = location.pathname.slice(HOME.length).split("/");
  if (page === "c" && /^[\w-]+$/.test(rest)) return update({ route: { page: "conversation", id: rest } });
  if (PAGES.includes(page)) return update({ route: { page, section: rest } });
  if (page !== "") toast({ text: words.noPage });
  if (location.pathname !== HOME) history.replaceState(null, "", HOME);
  update({ route: { page: "new" } });
}
