// The test of the connection: this browser calls the host over the network as any
// guest's client does, and has the server call it with the owner's rights.
const form = document.querySelector('form[data-test]');
const table = document.getElementById('test-results');
const status = document.getElementById('test-status');

async function rpc(path, id, method, params) {
  const answer = await fetch(path, {
    method: 'POST', credentials: 'omit', signal: AbortSignal.timeout(10000),
    headers: { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' },
    body: JSON.stringify({ jsonrpc: '2.0', id, method, params }),
  });
  const body = await answer.json();
  if (body.error) throw new Error(`the host refused: ${body.error.message}`);
  if (!answer.ok) throw new Error(body.detail ?? `the host answered with status ${answer.status}`);
  return body.result;
}

async function asGuest(path) {
  const start = performance.now();
  const row = { called: 'as a guest, from this browser', tools: 0 };
  try {
    const hello = await rpc(path, 1, 'initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'browser', version: '1' } });
    row.tools = (await rpc(path, 2, 'tools/list')).tools.length;
    row.result = `${hello.serverInfo.name} ${hello.serverInfo.version}, MCP ${hello.protocolVersion}`;
  } catch (error) {
    row.error = error.name === 'TimeoutError' ? 'no answer within 10 s' : error instanceof TypeError ? 'out of reach' : error.message;
  }
  row.ms = performance.now() - start;
  return row;
}

async function asOwner() {
  const row = { called: 'with your rights, on the server', tools: 0 };
  try {
    const answer = await fetch(form.action, { method: 'POST', headers: { Accept: 'application/json' }, redirect: 'error', signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(`the server answered with status ${answer.status}`);
    const said = (await answer.json()).find(r => r.as === 'owner');
    row.tools = said.tools;
    row.ms = said.micros / 1000;
    row.error = said.error;
    row.result = `${said.server} ${said.version}, MCP ${said.protocol}`;
  } catch (error) {
    row.error = error instanceof TypeError ? 'out of reach, or you are signed out' : error.message;
  }
  return row;
}

function show(rows) {
  const cell = (text, kind) => {
    const td = document.createElement('td');
    if (kind) td.className = kind;
    td.append(text);
    return td;
  };
  table.querySelector('tbody').replaceChildren(...rows.map(row => {
    const tr = document.createElement('tr');
    const badge = document.createElement('span');
    badge.className = `badge ${row.error ? 'failed' : 'ok'}`;
    badge.textContent = row.error ? 'failed' : 'ok';
    const result = cell(badge);
    result.append(` ${row.error ?? row.result}`);
    tr.append(cell(row.called), result, cell(String(row.tools), 'number'), cell(row.ms === undefined ? '–' : row.ms.toFixed(1), 'number'));
    return tr;
  }));
  table.hidden = false;
}

form?.addEventListener('submit', async event => {
  event.preventDefault();
  const button = form.querySelector('button');
  button.disabled = true;
  status.textContent = 'Calling…';
  const rows = await Promise.all([asGuest(form.dataset.test), asOwner()]);
  show(rows);
  status.textContent = rows.some(r => r.error) ? 'It does not answer as it should.' : 'It answers.';
  button.disabled = false;
});
