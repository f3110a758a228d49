// Files that are made in the browser, of what it has.

// save offers a file to keep.
export function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const a = document.createElement('a');
  a.href = url;
  a.download = name;
  document.body.append(a);
  a.click();
  a.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

// stamped is a name with the date and time in it.
export const stamped = (name, ending) => `${name}-${new Date().toISOString().slice(0, 16).replace(':', '')}.${ending}`;

// plain is a stranger's text in Markdown, in one line.
const plain = s => String(s ?? '').replace(/\s+/g, ' ').replace(/([\\`*_{}[\]()<>#+\-.!|~&])/g, '\\$1');
const quoted = s => String(s ?? '').split('\n').map(l => `> ${plain(l)}`).join('\n');
const code = s => `\`${String(s).replace(/[`\s]/g, '')}\``;
const price = usd => /^[0.]*$/.test(usd ?? '') ? 'free' : `$${plain(usd)}`;
const rows = list => list.filter(([, v]) => v).map(([k, v]) => `- ${k}: ${v}`).join('\n');

const eventLine = e => `- **${plain(e.title)}**, ${plain(e.starts_at)} (${plain(e.time_zone)}), ${price(e.price)}, ${plain(e.status)}${e.location ? `, ${plain(e.location)}` : ''} ${code(e.id)} at ${code(e.host)}`;

const states = { asked: 'not answered', approved: 'approved', used: 'approved and paid', denied: 'refused', expired: 'expired', failed: 'not paid' };

const parts = {
  said: m => quoted(m.text),
  text: m => String(m.text).split('\n').map(plain).join('  \n'),
  events: m => [...(m.data.events ?? []).map(eventLine), ...(m.data.unreachable ?? []).map(u => `- ${code(u.host)} did not answer: ${plain(u.error)}`)].join('\n') || plain(m.text),
  event: m => `${eventLine(m.data)}\n\n${quoted(m.data.description)}`,
  approval: m => `**Pay $${plain(m.data.usd)}?** ${states[m.state] ?? ''}\n\n${rows([['For', plain(m.data.title || m.data.about)], ['Seats', m.data.event_id && plain(m.data.seats)], ['Paid to', code(m.data.pay_to)], ['Host', code(m.data.host)], ['Network', code(m.data.network)], ['Expires', plain(m.data.expires)]])}`,
  receipt: m => `**Receipt: ${plain(m.data.status)}**\n\n${rows([['Event', plain(m.data.title)], ['When', m.data.starts_at && `${plain(m.data.starts_at)} (${plain(m.data.time_zone)})`], ['Where', plain(m.data.location)], ['Seats', m.data.seats && plain(m.data.seats)], ['Paid', m.data.usd && `$${plain(m.data.usd)} in USDC`], ['To', m.data.pay_to && code(m.data.pay_to)], ['Transaction', m.data.transaction && code(m.data.transaction)], ['Refund', m.data.refund && `$${plain(m.data.refund.usd)}, ${plain(m.data.refund.status)}`], ['RSVP', m.data.rsvp_id && code(m.data.rsvp_id)], ['Host', code(m.data.host)], ['Note', plain(m.data.note)]])}`,
  rsvps: m => (m.data.rsvps ?? []).map(r => `- ${plain(r.title)}: ${plain(r.status)}, ${plain(r.seats)} seat(s), ${price(r.price)}, RSVP ${code(r.id)}`).join('\n') || plain(m.text),
  error: m => `**Error:** ${plain(m.text)}`,
};

// markdown is a conversation as Markdown. state says what became of a question.
export function markdown(messages, state) {
  const out = ['# A conversation with the Guest', '', `Exported ${new Date().toISOString()} from ${location.origin}.`, ''];
  for (const m of messages) {
    const make = m.data || ['said', 'text', 'error'].includes(m.type) ? parts[m.type] : null;
    out.push(`## ${m.type === 'said' ? 'You' : 'Agent'}, ${m.at ?? ''}`, '', make ? make({ ...m, state: state(m) }) : String(m.text).split('\n').map(plain).join('  \n'), '');
  }
  return out.join('\n');
}
