/* workers.js - /workers: the doctor's checks, the worker processes, the number of instances. */
import { h, icon, statusBadge } from '../dom.js';
import { get } from '../http.js';
import { at, count } from '../format.js';
import { shell } from '../shell.js';
import { card, optional, page, tableOf } from './tables.js';

shell();
page({
	title: 'Workers', text: 'Whether the engine is well, and what its processes do.',
	read: async () => {
		const [checks, workers, about] = await Promise.all([get('/api/v1/doctor').then(d => d.checks, error => { if (error.status === 403) return null; throw error; }), optional('workers'), get('/api/v1/about')]);
		return { checks, workers: workers ?? [], about: { ...about, now: null } };
	},
	draw: ({ checks, workers, about }) => {
		const bad = (checks ?? []).filter(c => c.ok === false);
		const sorted = [...bad, ...(checks ?? []).filter(c => c.ok !== false)];
		return [
			h('div', { class: 'counts' },
				fact('Doctor', checks === null ? 'not for this role' : bad.length === 0 ? 'all well' : `${bad.length} to see to`),
				fact('Workers', count(workers.length)), fact('Database', about.database), fact('Role', about.role), fact('PostgreSQL', about.server.split(' ')[0]), fact('durable', about.version)),
			checks === null ? null : card('Doctor', tableOf('Checks', [
				['Check', c => c.ok === false ? h('span', { class: 'status Failed' }, icon('alert'), c.name) : h('span', { class: 'status Completed' }, icon('check'), c.name)],
				['Finding', c => [c.detail, c.hint && c.ok === false ? h('div', { class: 'small' }, h('b', {}, 'What to do: '), c.hint) : null]]], sorted, c => c.ok === false ? 'bad' : null)),
			card('Worker processes', workers.length === 0 ? h('p', { class: 'in soft' }, 'No worker runs at the moment. One is started when there is something to do.')
				: tableOf('Worker processes', [['Process', w => String(w.pid), 'num'], ['State', w => [statusBadge(w.state === 'idle' ? 'Pending' : 'Running', w.state), w.is_leaving ? ' leaving' : '']],
					['Owner', w => w.owner], ['Instance', w => w.instance_id ? h('a', { href: `/workflows/${encodeURIComponent(w.instance_id)}` }, w.instance_id) : ''],
					['Turns', w => count(w.turns), 'num'], ['Activities', w => count(w.activities), 'num'], ['Started', w => h('time', { datetime: w.started_at }, at(w.started_at))]], workers))
		];
	}
});

function fact(title, value) {
	return h('div', { class: 'card' }, h('b', {}, value), h('span', { class: 'soft small' }, title));
}

