// Keeps a page true: when the server says that something has changed, the page is
// fetched once more, and those of its parts that are marked data-live, each with an
// id, are replaced where they differ. Nothing is fetched while nobody looks.
import { refresh } from './site.js';

const path = document.body.dataset.updates;
let source;
let busy = false;
let again = false;
let retry;
let gone = false; // nobody is signed in any more

// typing: somebody is about to enter something there, which must not be lost.
const typing = part => part.contains(document.activeElement) && document.activeElement.matches('input, textarea, select');

// like makes a part that was fetched what this page has made of the one that it may
// replace: times told, what is open open.
function like(fresh, part) {
  document.adoptNode(fresh);
  for (const details of fresh.querySelectorAll('details[id]')) details.open ||= part.querySelector(`#${CSS.escape(details.id)}`)?.open ?? false;
  refresh(fresh);
  return fresh;
}

function put(part, fresh) {
  const focused = part.contains(document.activeElement) ? document.activeElement.id : '';
  part.replaceWith(fresh);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  fresh.dispatchEvent(new CustomEvent('live', { bubbles: true }));
}

async function update() {
  if (busy) { again = true; return; }
  busy = true;
  try {
    do {
      again = false;
      const answer = await fetch(location.href, { headers: { Accept: 'text/html' }, cache: 'no-store' });
      if (answer.redirected) { gone = true; close(); return; }
      if (!answer.ok) return;
      const text = await answer.text();
      // From <main> on: the style before it has the nonce of another page.
      const next = new DOMParser().parseFromString(text.slice(text.indexOf('<main')), 'text/html');
      for (const part of document.querySelectorAll('[data-live][id]')) {
        const fetched = next.getElementById(part.id);
        if (!fetched || typing(part)) continue;
        const fresh = like(fetched, part);
        if (fresh.outerHTML !== part.outerHTML) put(part, fresh);
      }
    } while (again);
  } catch {
    // out of reach: the next opening asks again
  } finally {
    busy = false;
  }
}

function close() {
  source?.close();
  source = undefined;
}

function listen() {
  clearTimeout(retry);
  if (source || gone || document.hidden) return;
  source = new EventSource(path);
  source.addEventListener('open', update); // what has changed before is not told
  source.addEventListener('changed', update);
  source.addEventListener('error', () => {
    if (source?.readyState !== EventSource.CLOSED) return; // it tries again by itself
    close();
    retry = setTimeout(async () => { await update(); listen(); }, 15000);
  });
}

if (path) {
  document.addEventListener('visibilitychange', () => { if (document.hidden) close(); else listen(); });
  window.addEventListener('pagehide', close);
  window.addEventListener('pageshow', listen);
  listen();
}
