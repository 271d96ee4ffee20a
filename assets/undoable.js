// What cannot be undone on the server is not done at once: it disappears from the page, and for a few seconds it can come
// back. Leaving the page does it.

import { words } from "./lang/en.js";
import { toast } from "./overlay.js";

const UNDO_MS = 6000;

const waiting = new Set();

/** The keyboard goes on with the row beside the one that disappears. */
function hideRow(hide) {
  const held = document.activeElement;
  hide();
  const row = held.closest("[hidden]");
  const next = row?.nextElementSibling ?? row?.previousElementSibling;
  next?.querySelector("button, a")?.focus();
}

/** Runs `hide` now and `act` in a few seconds, unless it is taken back, which runs `show`. */
export function undoable({ text, hide, show, act, failed }) {
  hideRow(hide);
  const done = async () => {
    clearTimeout(timer);
    waiting.delete(done);
    try {
      await act();
    } catch (error) {
      show();
      toast({ text: failed ?? words.notSaved(error.detail) });
    }
  };
  const timer = setTimeout(done, UNDO_MS);
  waiting.add(done);
  const back = () => {
    clearTimeout(timer);
    waiting.delete(done);
    show();
  };
  toast({ text, ms: UNDO_MS, action: { label: words.undo, run: back } });
}

/** Does at once all that still could be taken back. */
export function settleAll() {
  for (const done of waiting) done();
}

addEventListener("pagehide", settleAll);
