/* queues.js - /queues: work that waits for programs outside of the database, and leased work. */
import { h, statusBadge } from '../dom.js';
import { at, breakable, count, duration, shortName } from '../format.js';
import { empty, shell } from '../shell.js';
import { statement } from '../code.js';
import { partButtons } from './actions.js';
import { card, optional, page, tableOf, view } from './tables.js';

shell();
const asking = page({
	title: 'Queues', text: 'Activities with a limit, and activities that programs outside of the database fetch.',
	read: async () => ({ queues: await view('queues'), leases: await optional('leases') ?? [] }),
	draw: ({ queues, leases }) => queues.length === 0 ? h('div', { class: 'card' }, empty('box', 'There are no queues', 'A queue limits how many activities run at a time, or holds work for programs outside of the database.', statement("SELECT durable.register_queue('mail', concurrency => 4);")))
		: [card('Queues', tableOf('Queues', [
			['Queue', q => [h('b', {}, q.name), q.description ? h('div', { class: 'soft small' }, q.description) : null]],
			['State', q => statusBadge(q.is_paused ? 'Suspended' : 'Running', q.is_paused ? 'paused' : 'open')],
			['Ready', q => count(q.ready), 'num'], ['Delayed', q => count(q.delayed), 'num'], ['Out', q => count(q.leased), 'num'],
			['Limit', q => [q.concurrency ? `${count(q.concurrency)} at a time` : null, q.rate ? `${count(q.rate)} per ${period(q.per)}` : null, q.key_concurrency ? `${count(q.key_concurrency)} per key` : null].filter(Boolean).join(', ') || 'none'],
			['Oldest', q => time(q.oldest), 'fit'], ['Owner', q => breakable(q.owner), 'words'], ['Actions', q => partButtons('queues', q, () => asking.now())]], queues)),
		card('Leased work', leases.length === 0 ? h('p', { class: 'in soft' }, 'No work is leased at the moment.') : tableOf('Leased work', [
			['Activity', l => shortName(l.name)], ['Queue', l => l.queue], ['Instance', l => l.instance_id ? h('a', { href: `/workflows/${encodeURIComponent(l.instance_id)}` }, l.instance_id) : ''],
			['Worker', l => l.worker ?? ''], ['Attempt', l => count(l.attempt), 'num'], ['Since', l => time(l.leased_at)], ['Until', l => time(l.leased_until)], ['Lost', l => count(l.lost), 'num']], leases))]
});

function time(value) {
	return value ? h('time', { datetime: value }, at(value)) : '';
}

/** An interval, as PostgreSQL writes it, after the word per. */
function period(text) {
	const known = { '00:00:01': 'second', '00:01:00': 'minute', '01:00:00': 'hour', '1 day': 'day' };
	const parts = text.match(/^(\d+):(\d+):([\d.]+)$/);
	return known[text] ?? (parts ? duration((parts[1] * 3600 + parts[2] * 60 + Number(parts[3])) * 1000) : text);
}
