// What every page does better with scripts: times in the viewer's own zone,
// buttons that copy, questions before what can't be undone, forms that are sent once.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

export function told(at, timeZone, withDay) {
  const day = withDay ? { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' } : {};
  return new Intl.DateTimeFormat(undefined, { ...day, hour: '2-digit', minute: '2-digit', timeZoneName: 'short', timeZone }).format(at);
}

// offset is what a zone is ahead of UTC at an instant, as a text to be compared.
function offset(at, timeZone) {
  try {
    return new Intl.DateTimeFormat('en', { timeZoneName: 'longOffset', timeZone }).formatToParts(at).find(p => p.type === 'timeZoneName').value;
  } catch {
    return ''; // a zone that this browser does not know
  }
}

const dayIn = (at, timeZone) => new Intl.DateTimeFormat('en-CA', { dateStyle: 'short', timeZone }).format(at);

// localise tells times below a node as the viewer's clock does: of a moment that
// alone, of an event's time beside that of its own zone, where the two differ.
export function localise(root = document) {
  for (const time of root.querySelectorAll('time[data-zone]:not([data-local])')) {
    time.dataset.local = '';
    const start = new Date(time.dateTime);
    const end = time.dataset.end ? new Date(time.dataset.end) : undefined;
    if (Number.isNaN(start.valueOf())) continue;
    if (time.classList.contains('moment')) {
      time.title = time.textContent;
      time.textContent = told(start, zone, true);
      continue;
    }
    const same = at => offset(at, zone) === offset(at, time.dataset.zone);
    if (same(start) && (!end || same(end))) continue;
    const local = document.createElement('span');
    local.className = 'local';
    local.textContent = `${told(start, zone, true)}${end ? ` – ${told(end, zone, dayIn(start, zone) !== dayIn(end, zone))}` : ''} (your time)`;
    time.append(local);
  }
}

// copying shows the buttons that copy the text beside them.
function copying(root = document) {
  if (!navigator.clipboard) return; // not a secure context: the text can be selected
  for (const button of root.querySelectorAll('button[data-copy]')) button.hidden = false;
}

async function copy(button) {
  const label = button.querySelector('span');
  const before = label.textContent;
  try {
    await navigator.clipboard.writeText(button.parentElement.querySelector('code, pre').textContent);
    label.textContent = 'Copied';
  } catch {
    label.textContent = 'Select and copy it';
  }
  setTimeout(() => { label.textContent = before; }, 2000);
}

// ask asks before a form with data-confirm is sent; true: send it.
export function ask(question, yes) {
  const dialog = document.createElement('dialog');
  const text = document.createElement('p');
  text.textContent = question;
  const form = document.createElement('form');
  form.method = 'dialog';
  form.className = 'row';
  for (const [value, words, kind] of [['yes', yes, 'danger'], ['no', 'Go back', '']]) {
    const button = document.createElement('button');
    button.value = value;
    button.textContent = words;
    button.className = kind;
    form.append(button);
  }
  dialog.append(text, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise(answer => dialog.addEventListener('close', () => {
    dialog.remove();
    answer(dialog.returnValue === 'yes');
  }));
}

document.addEventListener('click', event => {
  const button = event.target.closest('button[data-copy]');
  if (button) copy(button);
});

document.addEventListener('submit', async event => {
  const form = event.target;
  const button = event.submitter;
  const question = button?.dataset.confirm ?? form.dataset.confirm;
  if (question && !('confirmed' in form.dataset)) {
    event.preventDefault();
    if (await ask(question, button?.textContent.trim() || 'Yes')) {
      form.dataset.confirmed = '';
      form.requestSubmit(button ?? undefined);
      delete form.dataset.confirmed;
    }
    return;
  }
  if (form.method !== 'post' || event.defaultPrevented) return;
  if ('sent' in form.dataset) { event.preventDefault(); return; }
  form.dataset.sent = '';
});
window.addEventListener('pageshow', () => { // back from the next page: it may be sent again
  for (const form of document.querySelectorAll('form[data-sent]')) delete form.dataset.sent;
});

localise();
copying();
// refresh does for a part that was put into the page what was done for the page.
export function refresh(root) { localise(root); copying(root); }
