// What the agent says, as elements. All of it may be a stranger's words: it goes
// in as text, never as markup.

import { told } from './site.js';

// el makes an element. What is null or false is left out.
export function el(name, attributes = {}, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) e.setAttribute(key, '');
    else if (value !== null && value !== undefined && value !== false) e.setAttribute(key, value);
  }
  e.append(...children.filter(c => c !== null && c !== undefined && c !== false && c !== ''));
  return e;
}

const svg = (name, attributes) => {
  const e = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  return e;
};

// theirs is a stranger's text.
const theirs = (text, name = 'span') => el(name, { class: 'user-text', dir: 'auto' }, String(text ?? ''));

const button = (action, text, kind, data = {}) => el('button', { type: 'button', class: kind, 'data-action': action, ...data }, text);

export const dollars = usd => /^[0.]*$/.test(usd ?? '') ? 'Free' : `$${usd}`;
export const seatsOf = n => n === 1 ? '1 seat' : `${n} seats`;

// when is when an event is, in its zone; site.js adds the viewer's time.
function when(start, end, zone) {
  const at = new Date(start);
  if (Number.isNaN(at.valueOf())) return theirs(start);
  const until = end ? new Date(end) : null;
  let text;
  try {
    text = told(at, zone || 'UTC', true) + (until && !Number.isNaN(until.valueOf()) ? ` – ${told(until, zone || 'UTC', until - at > 864e5)}` : '');
  } catch { // a zone that this browser does not know
    zone = 'UTC';
    text = told(at, zone, true);
  }
  return el('time', { class: 'when', datetime: start, 'data-end': end || null, 'data-zone': zone || 'UTC' }, text);
}

const moment = at => el('time', { class: 'moment', datetime: at, 'data-zone': 'UTC' }, at);

const badge = (status, text = status) => el('span', { class: `badge ${/^[a-z]+$/.test(status) ? status : ''}` }, String(text));

function facts(rows) {
  const list = el('dl', { class: 'facts' });
  for (const [name, value] of rows) if (value) list.append(el('dt', {}, name), el('dd', {}, value));
  return list;
}

const notice = (kind, text) => el('p', { class: `notice ${kind}` }, theirs(text));
const paragraphs = text => el('div', { class: 'user-text prose said', dir: 'auto' }, text ?? '');
const copyable = (text, label) => {
  const b = el('button', { type: 'button', class: 'quiet', 'data-copy': true, hidden: true, 'aria-label': `Copy: ${label}` }, el('span', {}, 'Copy'));
  return el('div', { class: 'copy' }, el('code', {}, text), b);
};

// networks in words.
export const networkOf = (network, play) => play ? 'play money on this server’s own chain'
  : { 'eip155:8453': 'Base', 'eip155:84532': 'Base Sepolia, a test network' }[network] ?? network;

// link is to a page, if it is the address of one.
function link(address, text, attributes = {}) {
  let url;
  try { url = new URL(address, location.href); } catch { return null; }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return null;
  return el('a', { href: url.href, rel: 'nofollow noopener noreferrer', target: '_blank', ...attributes }, text);
}

// ticketOf is the page of an RSVP at a Host of a server such as this.
function ticketOf(host, rsvp) {
  const m = /^(https?:\/\/[^/]+.*)\/mcp\/users\/([^/]+)$/.exec(host ?? '');
  return m && rsvp ? `${m[1]}/u/${m[2]}/rsvps/${encodeURIComponent(rsvp)}` : null;
}

function event(e, full) {
  const free = dollars(e.price) === 'Free';
  const most = e.seats_left > 0 ? Math.min(e.seats_left, 9999) : 9999;
  const about = `${e.title}`.slice(0, 80);
  const actions = el('div', { class: 'row actions' });
  if (e.status === 'open') {
    actions.append(
      el('label', { class: 'seats' }, el('span', {}, 'Seats'), el('input', { type: 'number', inputmode: 'numeric', min: 1, max: most, value: 1, 'data-seats': true, 'aria-label': `Seats for ${about}` })),
      button('book', free ? 'Book' : `Book for ${dollars(e.price)}`, 'primary', { 'data-host': e.host, 'data-event': e.id, 'data-price': e.price, 'aria-label': `${free ? 'Book' : `Book for ${dollars(e.price)} a seat`}: ${about}` }));
  }
  if (!full) actions.append(button('show', 'Details', 'quiet', { 'data-host': e.host, 'data-event': e.id, 'aria-label': `Details: ${about}` }));
  return el('article', { class: 'card event', 'data-kind': 'event', 'data-event': e.id },
    el('h3', {}, e.n ? `${e.n}. ` : '', theirs(e.title)),
    el('p', { class: 'fact' }, when(e.starts_at, e.ends_at, e.time_zone)),
    e.location && el('p', { class: 'fact' }, theirs(e.location)),
    full && e.description && paragraphs(e.description),
    el('p', { class: 'row' }, badge(e.status), el('strong', { class: 'price' }, dollars(e.price)), e.seats_left >= 0 && e.seats_left !== null && e.seats_left !== undefined && el('span', { class: 'muted' }, `${e.seats_left} left`)),
    actions);
}

function events(m) {
  const list = el('ol', { class: 'events' }, ...(m.data.events ?? []).map(e => el('li', {}, event(e, false))));
  const unreachable = (m.data.unreachable ?? []).map(u => notice('warning', `${u.host} did not answer: ${u.error}`));
  if (!m.data.events?.length) return el('div', { class: 'stack' }, paragraphs(m.data.unreachable?.length ? 'There are no events of the other hosts.' : m.text), ...unreachable);
  return el('div', { class: 'stack' }, list, m.data.more && el('p', { class: 'muted' }, 'There are more. Say what you look for.'), ...unreachable);
}

const states = {
  asked: 'Nothing is paid before you approve it.',
  approved: 'You approved it. The payment is under way.',
  used: 'You approved it, and it was paid.',
  denied: 'You said no. Nothing was paid.',
  expired: 'The question has expired, and nothing was paid. Book again to be asked again.',
  failed: 'Nothing was paid.',
};
const stateNames = { asked: 'waiting for you', approved: 'paying', used: 'paid', denied: 'refused', expired: 'expired', failed: 'not paid' };

// approval is the question whether to pay.
function approval(m, play) {
  const q = m.data;
  const id = `approval-${m.approval}`;
  return el('article', { class: 'card approval', id, tabindex: -1, 'data-kind': 'approval', 'data-approval': m.approval, 'data-expires': q.expires, 'aria-labelledby': `${id}-title` },
    el('h3', { id: `${id}-title` }, `Pay $${q.usd}?`),
    facts([
      ['For', el('span', {}, theirs(q.title || q.about || q.tool), q.event_id && `, ${seatsOf(q.seats || 1)}`)],
      ['When', q.starts_at && when(q.starts_at, '', q.time_zone)],
      ['Amount', el('strong', { class: 'number' }, `$${q.usd} in USDC`)],
      ['Paid to', el('code', { class: 'address' }, q.pay_to)],
      ['Host', el('span', { class: 'address' }, q.host)],
      ['Network', networkOf(q.network, play)],
      ['Answer by', q.expires && moment(q.expires)],
    ]),
    el('p', { class: 'row' }, el('span', { 'data-badge': true }), el('span', { 'data-state-text': true })),
    el('div', { class: 'row answers' }, button('approve', `Approve $${q.usd}`, 'primary', { 'data-approval': m.approval }), button('deny', 'No, don’t pay', '', { 'data-approval': m.approval })));
}

// settle shows what has become of a question.
export function settle(card, state, why) {
  if (!card) return;
  card.dataset.state = state;
  const known = states[state] ? state : 'expired';
  card.querySelector('[data-badge]').replaceChildren(badge({ used: 'paid', failed: 'failed', expired: 'past' }[known] ?? known, stateNames[known]));
  card.querySelector('[data-state-text]').textContent = why ?? states[known];
  const [yes, no] = card.querySelectorAll('.answers button');
  yes.hidden = known !== 'asked' && known !== 'denied';
  no.hidden = known !== 'asked';
  yes.disabled = no.disabled = false;
  yes.classList.toggle('primary', known === 'asked');
  if (known === 'denied') yes.textContent = 'Approve after all';
  card.querySelector('.answers').hidden = yes.hidden && no.hidden;
}

function qr(rows, label) {
  const quiet = 4, side = rows.length + 2 * quiet;
  let dark = '';
  rows.forEach((row, y) => { for (const run of row.matchAll(/1+/g)) dark += `M${run.index + quiet} ${y + quiet}h${run[0].length}v1h-${run[0].length}z`; });
  const e = svg('svg', { class: 'qr', role: 'img', 'aria-label': label, viewBox: `0 0 ${side} ${side}`, 'shape-rendering': 'crispEdges' });
  e.append(svg('path', { fill: '#fff', d: `M0 0h${side}v${side}H0z` }), svg('path', { fill: '#000', d: dark }));
  return e;
}

const shortHash = tx => tx.length > 24 ? `${tx.slice(0, 12)}…${tx.slice(-8)}` : tx;

function transaction(tx, explorer, play) {
  if (!tx) return null;
  const to = explorer && link(explorer, shortHash(tx), { 'data-explorer': true });
  return to || el('span', {}, el('code', { class: 'address' }, tx), play ? ' on the embedded chain' : '');
}

function receipt(m, play) {
  const r = m.data;
  const live = r.status === 'confirmed' || r.status === 'pending';
  const title = { confirmed: 'You are going', pending: 'Almost there', paid: 'Paid', cancelled: 'Cancelled', refunded: 'Cancelled, and refunded', failed: 'Not booked' }[r.status] ?? 'Booking';
  const actions = el('div', { class: 'row actions' },
    r.ticket && link(r.ticket, 'Open ticket', { class: 'button', 'data-action': 'ticket' }),
    r.calendar && button('calendar', 'Add to calendar', '', { 'data-message': m.id }),
    live && r.rsvp_id && button('unbook', 'Cancel booking', 'danger', { 'data-host': r.host, 'data-rsvp': r.rsvp_id }));
  return el('article', { class: 'card receipt', 'data-kind': 'receipt', 'data-rsvp': r.rsvp_id || null, 'data-status': r.status },
    el('h3', {}, `${title}${r.title ? ': ' : ''}`, r.title && theirs(r.title)),
    el('div', { class: 'ticket' },
      el('div', {},
        facts([
          ['Status', badge(r.status)],
          ['Seats', r.seats > 0 && String(r.seats)],
          ['When', r.starts_at && when(r.starts_at, r.ends_at, r.time_zone)],
          ['Where', r.location && theirs(r.location)],
          ['Paid', r.usd && el('span', {}, el('strong', { class: 'number' }, `$${r.usd}`), ' in USDC')],
          ['To', r.pay_to && el('code', { class: 'address' }, r.pay_to)],
          ['Transaction', transaction(r.transaction, r.explorer, play)],
          ['Refund', r.refund && el('span', {}, `$${r.refund.usd}, ${{ settled: 'paid back', pending: 'on its way', owed: 'owed to you, and paid as soon as it can be' }[r.refund.status] ?? r.refund.status}`)],
          ['', r.refund && transaction(r.refund.transaction, r.refund_explorer, play)],
          ['RSVP', r.rsvp_id && el('code', { class: 'address' }, r.rsvp_id)],
        ]),
        r.note && el('p', {}, theirs(r.note))),
      r.qr?.length && live && qr(r.qr, 'QR code of the ticket')),
    actions.childElementCount > 0 && actions);
}

function rsvps(m) {
  if (!m.data.rsvps?.length) return paragraphs(m.text);
  return el('ol', { class: 'events' }, ...m.data.rsvps.map(r => el('li', {}, el('article', { class: 'card', 'data-kind': 'rsvp', 'data-rsvp': r.id },
    el('h3', {}, theirs(r.title || r.event_id)),
    el('p', { class: 'row' }, badge(r.status), el('span', {}, seatsOf(r.seats)), el('strong', { class: 'price' }, dollars(r.price))),
    r.error && el('p', { class: 'muted' }, 'Its host did not answer just now: ', theirs(r.error)),
    el('div', { class: 'row actions' },
      ticketOf(r.host, r.id) && link(ticketOf(r.host, r.id), 'Open ticket', { class: 'button' }),
      (r.status === 'confirmed' || r.status === 'pending') && button('unbook', 'Cancel booking', 'danger', { 'data-host': r.host, 'data-rsvp': r.id }))))));
}

function wallet(m, play) {
  const w = m.data;
  return el('article', { class: 'card', 'data-kind': 'wallet' },
    el('h3', {}, 'Your wallet here'),
    facts([['Balance', w.usd ? el('strong', { class: 'number' }, `$${w.usd} in USDC`) : w.error && theirs(`not known: ${w.error}`)], ['Network', networkOf(w.network, play)]]),
    copyable(w.address, 'address of the wallet'),
    el('p', { class: 'muted' }, play ? 'This is play money: you are given some when you have none.' : 'To fund it, send USDC on that network to this address. Send little: the key is kept by this server.'));
}

const payments = { reserved: 'under way', signed: 'under way', paid: 'paid', refused: 'not taken', released: 'not taken' };

function spending(m) {
  const s = m.data;
  return el('article', { class: 'card', 'data-kind': 'spending' },
    el('h3', {}, 'What you spent'),
    facts([['Last 24 hours', el('strong', { class: 'number' }, `$${s.spent}`)], ['A day at most', s.per_day && `$${s.per_day}`], ['Left today', s.left && `$${s.left}`], ['A booking at most', `$${s.per_payment}`]]),
    s.payments?.length && el('div', { class: 'table', tabindex: 0, role: 'region', 'aria-label': 'Your last payments' }, el('table', {},
      el('thead', {}, el('tr', {}, ...['When', 'What', 'Amount', 'State'].map(t => el('th', { scope: 'col' }, t)))),
      el('tbody', {}, ...s.payments.map(p => el('tr', {}, el('td', {}, moment(p.at)), el('td', {}, theirs(p.about || p.host)), el('td', { class: 'number' }, `$${p.usd}`), el('td', {}, payments[p.state] ?? p.state)))))));
}

function hosts(m) {
  if (!m.data.hosts?.length) return paragraphs('You are connected to no host yet. Give the address of one, or pick an event from the list on this page.');
  return el('ul', { class: 'events' }, ...m.data.hosts.map(h => el('li', {}, el('article', { class: 'card row apart', 'data-kind': 'host' }, el('span', { class: 'address' }, h),
    el('div', { class: 'row' }, button('leave', 'Leave', 'quiet', { 'data-host': h, 'aria-label': `Leave ${h}` }))))));
}

const makers = {
  said: m => paragraphs(m.text),
  text: m => paragraphs(m.text),
  events, approval, receipt, rsvps, wallet, spending, hosts,
  event: m => event(m.data, true),
  error: m => notice('error', m.text),
};

// cardOf returns the element of a message that is kept. play says that the money is
// no real one.
export function cardOf(m, play) {
  const make = makers[m.type];
  let inner;
  try {
    inner = make && (m.data || !['events', 'event', 'approval', 'receipt', 'rsvps', 'wallet', 'spending', 'hosts'].includes(m.type)) ? make(m, play) : paragraphs(m.text);
  } catch { // of a Host that sends what nobody expects
    inner = paragraphs(m.text);
  }
  const who = m.type === 'said' ? 'person' : 'agent';
  return el('div', { class: `message ${who} of-${m.type}`, 'data-id': m.id ?? null, 'data-type': m.type },
    el('span', { class: 'visually-hidden' }, who === 'person' ? 'You: ' : 'Agent: '), inner);
}
