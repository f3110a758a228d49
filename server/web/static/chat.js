// The chat with the Guest: a WebSocket to the agent of this server, which keeps the
// conversation. So whatever happens to the page, all of it comes again.

import { ask, refresh } from './site.js';
import { cardOf, dollars, el, seatsOf, settle } from './chat-cards.js';
import { panel } from './chat-trace.js';
import { markdown, save, stamped } from './chat-export.js';

const root = document.querySelector('#chat');
const log = root.querySelector('#log');
const form = root.querySelector('#composer');
const say = root.querySelector('#say');
const send = root.querySelector('#send');
const stop = root.querySelector('#stop');
const progress = root.querySelector('#progress');
const connection = root.querySelector('#connection');
const newer = root.querySelector('#newer');
const aloud = root.querySelector('#aloud');
const play = 'play' in root.dataset;

const messages = new Map(); // those that are kept, by their ids
const states = new Map(); // of questions
const rsvps = new Map(); // the last status of a booking
let socket;
let tries = 0;
let busy = false;
let last = 0; // the greatest id
let draft = null; // the text that is being written
let wants = linked(); // what a link asks for, until it is done

const trace = panel(document.querySelector('#trace'), on => request({ type: 'trace', ...(on && { on }) }));

function request(what) {
  if (socket?.readyState !== WebSocket.OPEN) return false;
  socket.send(JSON.stringify(what));
  return true;
}

// does asks for what the agent answers with a turn.
function does(what) {
  if (busy) return tell('One thing at a time: wait for the answer, or stop it.');
  if (!request(what)) return tell('Not connected. Try again in a moment.');
  setBusy(true);
  bottom(true);
}

function tell(text) {
  progress.textContent = text;
  progress.hidden = !text;
}

function setBusy(is) {
  busy = is;
  root.toggleAttribute('data-busy', is);
  send.disabled = is;
  stop.hidden = !is;
  if (!is) tell('');
}

// What is at the bottom is followed, unless the person has scrolled up to read.
const atBottom = () => log.scrollHeight - log.scrollTop - log.clientHeight < 80;
function bottom(force) {
  if (force) { log.scrollTop = log.scrollHeight; newer.hidden = true; }
}

function show(m, live) {
  const follow = atBottom();
  const message = cardOf(m, play);
  if (draft) { draft.remove(); draft = null; }
  log.append(message);
  refresh(message);
  root.removeAttribute('data-empty');
  if (m.type === 'approval') {
    const card = message.querySelector('.approval');
    setState(m.approval, m.state ?? 'asked');
    if (live) {
      aloud.textContent = `The agent asks to pay $${m.data.usd} for ${m.data.title || m.data.about}. Nothing is paid before you approve it.`;
      root.scrollIntoView({ block: 'end' });
      if (!say.value) card?.focus({ preventScroll: true }); // not a button: a key that was meant for the text approves nothing
    }
  }
  if (m.approval && m.type === 'receipt') setState(m.approval, 'used');
  if (m.approval && m.type === 'error') setState(m.approval, 'failed', m.text);
  if (m.type === 'receipt' && m.data?.rsvp_id) booked(m.data.rsvp_id, m.data.status);
  if (m.type === 'rsvps') for (const r of m.data?.rsvps ?? []) booked(r.id, r.status);
  if (!live) return;
  if (follow || m.type === 'said' || m.approval) reveal(message);
  else newer.hidden = false;
}

// reveal scrolls to a message that is the last one: to its beginning, if it is long.
function reveal(message) {
  const above = message.getBoundingClientRect().top - log.getBoundingClientRect().top;
  log.scrollTop = Math.min(log.scrollTop + above - 8, log.scrollHeight - log.clientHeight);
  newer.hidden = true;
}

function setState(approval, state, why) {
  states.set(approval, state);
  for (const card of log.querySelectorAll(`[data-approval="${Number(approval)}"].approval`)) settle(card, state, why);
}

// booked has older cards of a booking say what it has become.
function booked(rsvp, status) {
  rsvps.set(rsvp, status);
  if (status === 'confirmed' || status === 'pending' || status === 'paid') return;
  for (const card of log.querySelectorAll('.card[data-rsvp]')) {
    if (card.dataset.rsvp !== rsvp) continue;
    card.querySelector('[data-action="unbook"]')?.remove();
    card.querySelector('.qr')?.remove();
    if (card.dataset.status !== status) card.classList.add('over');
  }
}

const expired = () => {
  for (const card of log.querySelectorAll('.approval[data-state="asked"], .approval[data-state="denied"]')) {
    if (new Date(card.dataset.expires) < Date.now()) setState(Number(card.dataset.approval), 'expired');
  }
};
setInterval(expired, 5000);

const hears = {
  history(m) {
    const ids = new Set((m.messages ?? []).map(x => x.id));
    if (last && !ids.has(last)) { // another conversation, or more than is kept has come since
      log.replaceChildren();
      messages.clear();
      last = 0;
    }
    if (draft) { draft.remove(); draft = null; }
    log.setAttribute('aria-busy', 'true');
    for (const x of m.messages ?? []) {
      if (x.id <= last) {
        if (x.type === 'approval' && !(states.get(x.approval) === 'failed')) setState(x.approval, x.state);
        continue;
      }
      keep(x);
      show(x, false);
    }
    log.setAttribute('aria-busy', 'false');
    root.toggleAttribute('data-empty', messages.size === 0);
    expired();
    setBusy(Boolean(m.busy));
    if (m.busy) tell('The agent is at work …');
    bottom(true);
    trace.again();
    offer();
  },
  delta(m) {
    const follow = atBottom();
    if (!draft) {
      draft = el('div', { class: 'message agent of-text', 'aria-hidden': 'true' }, el('div', { class: 'user-text prose said', dir: 'auto' }));
      log.append(draft);
    }
    draft.firstChild.append(m.text ?? '');
    bottom(follow);
  },
  progress(m) { setBusy(true); tell(m.text); },
  answered(m) {
    setState(m.approval, m.state);
    if (m.state === 'approved') { setBusy(true); tell('Paying …'); }
    aloud.textContent = { approved: 'Approved. Paying.', denied: 'You said no. Nothing was paid.' }[m.state] ?? '';
  },
  error(m) {
    if (m.id) return;
    if (m.code === 'no_approval') expired();
    if (m.code === 'busy' || m.code === 'over_limit') send.disabled = false;
    if (!busy || m.code !== 'busy') setBusy(false);
    tell(m.text);
  },
  done() { setBusy(false); if (draft) { draft.remove(); draft = null; } offer(); },
  trace(m) { trace.add(m.data); },
};

function keep(m) {
  if (m.id <= last) return false;
  last = m.id;
  messages.set(m.id, m);
  return true;
}

function hear(m) {
  if (m.id) {
    if (!keep(m)) return;
    if (m.type === 'said') setBusy(true);
    show(m, true);
  }
  hears[m.type]?.(m);
}

function connect() {
  connection.textContent = tries ? 'Connecting again …' : 'Connecting …';
  socket = new WebSocket(new URL('/agent', location.href.replace(/^http/, 'ws')));
  socket.addEventListener('open', () => { tries = 0; connection.textContent = ''; root.removeAttribute('data-offline'); });
  socket.addEventListener('message', e => hear(JSON.parse(e.data)));
  socket.addEventListener('close', e => {
    root.setAttribute('data-offline', '');
    const wait = Math.min(30_000, 500 * 2 ** tries++) * (0.75 + Math.random() / 2);
    connection.textContent = e.reason && e.code === 1013 ? `${e.reason}.` : 'Not connected. Nothing is lost: the conversation comes again.';
    setTimeout(connect, wait);
  });
}
window.addEventListener('online', () => { if (socket?.readyState === WebSocket.CLOSED) tries = 0; });

// linked is what the address asks for: /?host=URL&event=ID.
function linked() {
  const q = new URLSearchParams(location.search);
  const host = q.get('host');
  if (!host || host.length > 1000) return null;
  try { if (!/^https?:$/.test(new URL(host).protocol)) return null; } catch { return null; }
  return { host, event: q.get('event')?.slice(0, 200) };
}

// offer asks whether to do what a link asks for. To a Host of this very server it
// goes without a question: nothing happens there by looking.
function offer() {
  if (!wants || busy) return;
  const { host, event } = wants;
  wants = null;
  history.replaceState(null, '', '/');
  const what = event ? { type: 'show', host, event_id: event } : { type: 'connect', host };
  if (new URL(host).origin === location.origin) return does(what);
  const card = el('div', { class: 'message agent', 'data-kind': 'link' }, el('div', { class: 'card' },
    el('p', {}, 'The link that you followed asks the agent to connect to ', el('span', { class: 'address' }, host), event ? ' and show an event there.' : '.'),
    el('div', { class: 'row' }, el('button', { type: 'button', class: 'primary', 'data-action': 'follow' }, 'Connect'), el('button', { type: 'button', 'data-action': 'ignore' }, 'No'))));
  card.querySelector('[data-action="follow"]').onclick = () => { card.remove(); does(what); };
  card.querySelector('[data-action="ignore"]').onclick = () => { card.remove(); say.focus(); };
  root.removeAttribute('data-empty');
  log.append(card);
  bottom(true);
}

const acts = {
  approve(b) {
    for (const other of b.parentElement.children) other.disabled = true;
    const id = Number(b.dataset.approval);
    if (!request({ type: 'approve', approval: id })) {
      for (const other of b.parentElement.children) other.disabled = false;
      return tell('Not connected: nothing was approved. Try again in a moment.');
    }
    b.closest('.approval')?.focus({ preventScroll: true });
  },
  deny(b) { if (!request({ type: 'deny', approval: Number(b.dataset.approval) })) tell('Not connected. Nothing is paid.'); },
  book(b) {
    const input = b.closest('.event')?.querySelector('[data-seats]');
    if (input && !input.reportValidity()) return;
    does({ type: 'book', host: b.dataset.host, event_id: b.dataset.event, seats: Number(input?.value) || 1 });
  },
  show(b) { does({ type: 'show', host: b.dataset.host, event_id: b.dataset.event }); root.scrollIntoView({ block: 'nearest' }); },
  leave(b) { does({ type: 'say', text: `leave ${b.dataset.host}` }); },
  async unbook(b) {
    if (await ask('Cancel this booking? What you paid goes back to you, if its host still allows that.', 'Cancel the booking')) {
      does({ type: 'unbook', host: b.dataset.host, rsvp_id: b.dataset.rsvp });
    }
  },
  say(b) { does({ type: 'say', text: b.dataset.say }); },
  calendar(b) {
    const text = messages.get(Number(b.dataset.message))?.data?.calendar;
    if (text) save('event.ics', 'text/calendar;charset=utf-8', text);
  },
  'export-chat'() { save(stamped('concierge-conversation', 'md'), 'text/markdown;charset=utf-8', markdown(messages.values(), m => states.get(m.approval))); },
};

document.addEventListener('click', event => {
  const b = event.target.closest('button[data-action]');
  if (b && Object.hasOwn(acts, b.dataset.action)) acts[b.dataset.action](b);
});

// The button says what all seats cost. Prices have at most six decimals: no float.
log.addEventListener('input', event => {
  const b = event.target.matches('[data-seats]') && event.target.closest('.event').querySelector('[data-action="book"]');
  const seats = Number(event.target.value);
  if (!b || !(seats >= 1) || dollars(b.dataset.price) === 'Free' || !/^\d+(\.\d{1,6})?$/.test(b.dataset.price)) return;
  const [whole, part = ''] = b.dataset.price.split('.');
  const all = (BigInt(whole + part.padEnd(6, '0')) * BigInt(Math.trunc(seats))).toString().padStart(7, '0');
  b.textContent = `Book ${seatsOf(seats)} for $${all.slice(0, -6)}.${all.slice(-6).replace(/0{1,4}$/, '')}`;
});

form.addEventListener('submit', event => {
  event.preventDefault();
  const text = say.value.trim();
  if (!text) return say.focus();
  if (new TextEncoder().encode(text).length > 4000) return tell('That is too long: at most 4,000 bytes.');
  if (busy || socket?.readyState !== WebSocket.OPEN) return does({});
  say.value = '';
  grow();
  does({ type: 'say', text });
});
say.addEventListener('keydown', event => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});
const grow = () => { say.rows = Math.min(6, Math.max(1, say.value.split('\n').length)); };
say.addEventListener('input', grow);
stop.addEventListener('click', () => request({ type: 'cancel' }));
newer.addEventListener('click', () => bottom(true));
log.addEventListener('scroll', () => { if (atBottom()) newer.hidden = true; }, { passive: true });
root.querySelector('#connect')?.addEventListener('submit', event => {
  event.preventDefault();
  const host = event.target.elements.host;
  if (!host.reportValidity()) return;
  does({ type: 'connect', host: host.value.trim() });
  host.value = '';
  event.target.closest('details').open = false;
});

for (const b of document.querySelectorAll('[data-with-script]')) b.hidden = false;
root.hidden = false;
connect();
