// The developer panel: what goes between the agent and Hosts, as it passes. The
// server has cut out what is secret.

import { el } from './chat-cards.js';
import { save, stamped } from './chat-export.js';

const most = 500; // exchanges that are kept here

// panel runs the panel; ask(on) asks the server for exchanges, or for no more.
export function panel(root, ask) {
  const list = root.querySelector('#trace-list');
  const empty = root.querySelector('#trace-empty');
  const count = root.querySelector('#trace-count');
  const text = root.querySelector('#trace-text');
  const kind = root.querySelector('#trace-kind');
  const method = root.querySelector('#trace-method');
  const seen = new Map(); // by when they began: {x, item, words}
  const methods = new Set();

  const nameOf = x => [x.rpc || x.method, x.tool].filter(Boolean).join(' ');

  function fits({ x, words }) {
    if (kind.value === 'x402' && !x.x402) return false;
    if (kind.value === 'mcp' && x.x402) return false;
    if (kind.value === 'errors' && !x.failed) return false;
    if (method.value && nameOf(x) !== method.value) return false;
    return words.includes(text.value.trim().toLowerCase());
  }

  function filter() {
    let shown = 0;
    for (const entry of seen.values()) {
      entry.item.hidden = !fits(entry);
      if (!entry.item.hidden) shown++;
    }
    count.textContent = seen.size ? `${shown} of ${seen.size} exchanges` : '';
    empty.hidden = shown > 0;
    empty.textContent = seen.size ? 'No exchange fits the filter.' : 'Nothing yet. Say something to the agent.';
  }

  const json = v => typeof v === 'string' ? v : JSON.stringify(v, null, 2);

  function half(title, p) {
    const section = el('section', {}, el('h3', {}, title));
    if (p?.headers && Object.keys(p.headers).length) section.append(block(`${title}: headers`, Object.entries(p.headers).map(([k, v]) => `${k}: ${json(v)}`).join('\n')));
    if (p?.note) section.append(el('p', { class: 'muted small' }, p.note));
    if (p?.body !== undefined) section.append(block(`${title}: body`, json(p.body)));
    return section;
  }

  const block = (label, content) => el('pre', { tabindex: 0, role: 'group', 'aria-label': label }, content);

  function fill(item, x) {
    const details = item.querySelector('details');
    const state = !x.done ? 'under way' : x.error ? 'no answer' : String(x.status);
    item.querySelector('summary').replaceChildren(
      el('span', { class: 'name' }, nameOf(x)),
      el('span', { class: 'row small' }, x.x402 && el('span', { class: 'badge pending' }, 'x402'), el('span', { class: `badge ${x.failed ? 'failed' : x.done ? 'ok' : ''}` }, state),
        el('span', { class: 'muted number' }, x.done ? `${x.ms} ms` : '…'), el('time', { class: 'muted', datetime: x.at }, new Date(x.at).toLocaleTimeString())));
    const build = () => {
      details.querySelector('.halves')?.remove();
      details.append(el('div', { class: 'halves' }, el('p', { class: 'address small' }, `${x.method} ${x.url}`), half('Request', x.request), x.error ? el('p', { class: 'notice error' }, x.error) : x.answer && half('Answer', x.answer)));
    };
    details.ontoggle = () => { if (details.open) build(); };
    if (details.open) build();
  }

  function add(x) {
    const key = `${x.at} ${x.n}`;
    let entry = seen.get(key);
    if (entry?.x.done) return; // it came again with what is kept
    if (!entry) {
      entry = { item: el('li', {}, el('details', {}, el('summary', {}))) };
      seen.set(key, entry);
      list.append(entry.item);
      if (seen.size > most) {
        const [oldest, { item }] = seen.entries().next().value;
        item.remove();
        seen.delete(oldest);
      }
    }
    entry.x = x;
    entry.words = JSON.stringify(x).toLowerCase();
    fill(entry.item, x);
    if (!methods.has(nameOf(x))) {
      methods.add(nameOf(x));
      method.append(el('option', { value: nameOf(x) }, nameOf(x)));
    }
    filter();
  }

  for (const input of [text, kind, method]) input.addEventListener('input', filter);
  root.querySelector('[data-action="trace-clear"]').addEventListener('click', () => {
    seen.clear();
    methods.clear();
    list.replaceChildren();
    while (method.options.length > 1) method.remove(1);
    filter();
  });
  root.querySelector('[data-action="trace-export"]').addEventListener('click', () => {
    save(stamped('concierge-exchanges', 'json'), 'application/json', JSON.stringify({ exported_at: new Date().toISOString(), origin: location.origin,
      exchanges: [...seen.values()].filter(fits).map(e => e.x) }, null, 2) + '\n');
  });
  root.addEventListener('toggle', () => ask(root.open));
  filter();
  return { add, again: () => { if (root.open) ask(true); } };
}
