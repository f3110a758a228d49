// The balance of the wallet waits for the chain, so the page comes without it.
import { refresh } from './site.js';

const place = document.querySelector('[data-balance]');

async function read() {
  try {
    const answer = await fetch(place.dataset.balance, { redirect: 'error', cache: 'no-store' });
    if (!answer.ok) return;
    const part = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById('balance');
    if (!part) return;
    place.replaceChildren(document.adoptNode(part));
    refresh(place);
  } catch {
    // out of reach: the link that asks for it stays
  }
}

if (place) {
  read();
  document.addEventListener('live', event => { if (event.target.id === 'money') read(); });
}
