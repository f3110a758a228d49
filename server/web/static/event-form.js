// The form of an event: what guests will see is asked of the server while one types,
// and the time zone is the browser's until somebody says another.
import { refresh } from './site.js';

const form = document.getElementById('event-form');
const preview = document.getElementById('preview');
const zone = document.getElementById('time_zone');

const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
if ('guess' in zone.dataset && mine) zone.value = mine;

const zones = document.getElementById('zones');
const known = new Set([...zones.options].map(option => option.value));
for (const name of Intl.supportedValuesOf?.('timeZone') ?? []) {
  if (known.has(name)) continue;
  const option = document.createElement('option');
  option.value = name;
  zones.append(option);
}

let waiting;
let asked; // the request under way
let last = '';

async function show() {
  const data = new URLSearchParams(new FormData(form));
  data.delete('key'); // it is of no use for a preview, and makes no difference to it
  const text = data.toString();
  if (text === last) return;
  last = text;
  asked?.abort();
  asked = new AbortController();
  try {
    const answer = await fetch(form.dataset.preview, { method: 'POST', body: data, signal: asked.signal });
    if (!answer.ok || answer.redirected) return;
    const part = new DOMParser().parseFromString(await answer.text(), 'text/html'); // of the server's own making, and without scripts
    preview.replaceChildren(...part.body.childNodes);
    refresh(preview);
  } catch (error) {
    if (error.name !== 'AbortError') last = ''; // out of reach: the next key asks again
  }
}

function soon() {
  clearTimeout(waiting);
  waiting = setTimeout(show, 400);
}

form.addEventListener('input', soon);
document.getElementById('preview-button').hidden = true;
if (form.elements.title.value) show();
