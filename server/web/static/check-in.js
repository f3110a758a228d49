// The door: tickets are sent without leaving the page, so that the field is ready for
// the next one, and read with the camera where the browser can.
import { refresh } from './site.js';

const form = document.getElementById('door');
const ticket = document.getElementById('ticket');
const result = document.getElementById('result');
const scan = document.getElementById('scan');
const camera = document.getElementById('camera');
const video = document.getElementById('video');
const says = document.getElementById('camera-says');

let busy = false;

async function send() {
  if (busy || !ticket.value.trim()) return;
  busy = true;
  const data = new URLSearchParams(new FormData(form));
  try {
    const answer = await fetch(form.action, { method: 'POST', body: data, headers: { Accept: 'text/html' } });
    if (answer.redirected) { location.reload(); return; } // signed out
    // Without the styles, which the policy of this page does not know the nonce of.
    const text = (await answer.text()).replace(/<style[^]*?<\/style>/g, '');
    const page = new DOMParser().parseFromString(text, 'text/html');
    const told = page.getElementById('result') ?? page.querySelector('main');
    result.replaceChildren(...told.childNodes);
    refresh(result);
    navigator.vibrate?.(result.querySelector('.arrival.ok') ? 80 : [80, 60, 80]);
  } catch {
    result.textContent = 'The server could not be reached. Nobody was checked in; try again.';
  } finally {
    busy = false;
    ticket.value = '';
    if (camera.hidden) ticket.focus();
  }
}

form.addEventListener('submit', event => {
  event.preventDefault();
  event.stopImmediatePropagation();
  send();
}, true);
ticket.focus();

let stream;
let seen = '';
let seenAt = 0;

function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = undefined;
  video.srcObject = null;
  camera.hidden = true;
  scan.hidden = false;
  ticket.focus();
}

async function look(detector) {
  if (!stream) return;
  try {
    const [code] = busy ? [] : await detector.detect(video);
    // The same ticket stays before the camera for a while, and is one arrival.
    if (code && (code.rawValue !== seen || Date.now() - seenAt > 5000)) {
      ticket.value = code.rawValue;
      await send();
      seen = code.rawValue;
    }
    if (code) seenAt = Date.now();
  } catch {
    // no picture yet
  }
  setTimeout(() => look(detector), 150);
}

async function start() {
  scan.hidden = true;
  camera.hidden = false;
  says.textContent = 'The browser asks you for the camera.';
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' }, audio: false });
    video.srcObject = stream;
    await video.play();
    says.textContent = 'Hold the QR code of a ticket before the camera.';
    look(new BarcodeDetector({ formats: ['qr_code'] }));
  } catch (error) {
    stop();
    result.textContent = error.name === 'NotAllowedError' ? 'The camera was not allowed. Allow it for this page in the browser, or type the RSVP id.' : 'There is no camera to be used. Type the RSVP id.';
  }
}

async function offer() {
  if (!('BarcodeDetector' in window) || !navigator.mediaDevices) return;
  const formats = await BarcodeDetector.getSupportedFormats();
  if (formats.includes('qr_code')) scan.hidden = false;
}

scan.addEventListener('click', start);
document.getElementById('stop').addEventListener('click', stop);
window.addEventListener('pagehide', stop);
offer();
