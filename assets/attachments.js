// Files that go with a message: sent to the server as soon as they are chosen, so that sending the message need not wait.
// Also the view of one image at its full size.

import * as api from "./api.js";
import { el, iconButton } from "./dom.js";
import { filesOf, setFiles } from "./drafts.js";
import { words } from "./lang/en.js";
import { current } from "./store.js";
import { toast } from "./overlay.js";

const w = words.files;
/** As many as the server takes with one message. */
const FILES_MAX = 10;

let lastKey = 0;
const uploads = new Map();

/** Uploads `files` for the message that is written in the conversation `id`. */
export function attach(id, files) {
  const room = FILES_MAX - filesOf(id).length;
  if (files.length > room) toast({ text: w.tooMany(FILES_MAX) });
  for (const file of files.slice(0, Math.max(room, 0))) start(id, file);
}

/** Takes a file back, wherever it is on its way. */
export function detach(id, key) {
  uploads.get(key)?.abort();
  uploads.delete(key);
  setFiles(
    id,
    filesOf(id).filter((file) => file.key !== key),
  );
}

async function start(id, file) {
  const key = `file-${++lastKey}`;
  const preview = file.type.startsWith("image/") ? URL.createObjectURL(file) : null;
  const stopper = new AbortController();
  uploads.set(key, stopper);
  setFiles(id, [
    ...filesOf(id),
    { key, name: file.name, size: file.size, type: file.type, preview, progress: 0, url: null, problem: null },
  ]);
  try {
    const { url } = await api.upload(file, (progress) => change(key, { progress }), stopper.signal);
    change(key, { url, progress: 1 });
  } catch (error) {
    change(key, { problem: error.status === 413 ? w.tooLarge : error.detail || w.failed });
  } finally {
    uploads.delete(key);
  }
}

/** Changes a file wherever it is by now: the conversation may have got its id meanwhile. */
function change(key, values) {
  for (const [id, files] of everyList()) {
    if (files.some((file) => file.key === key))
      setFiles(
        id,
        files.map((file) => (file.key === key ? { ...file, ...values } : file)),
      );
  }
}

const everyList = () => Object.entries(current().files);

/** Shows an image as large as the window allows. */
export function showImage(url, name) {
  const dialog = el(
    "dialog",
    { class: "lightbox", "aria-label": name, closedby: "any", onclose: () => dialog.remove() },
    el("img", { src: url, alt: name }),
    el(
      "div",
      { class: "lightbox-foot" },
      el("a", { class: "link", href: url, download: name }, name),
      iconButton("close", words.close, { onclick: () => dialog.close() }),
    ),
  );
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}
