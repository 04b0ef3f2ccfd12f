/*
 * actions.js - what can be done with instances, schedules and queues: each with the statement and the request that do the same.
 */
import { h, icon, put } from '../dom.js';
import { BASE, get, part, post, request, url } from '../http.js';
import { literal, plural, shellWord } from '../format.js';
import { statement } from '../code.js';
import { dialog, toast } from '../shell.js';

/* needsReason: has a reason; typed: asks for a word to be typed; states: of what it is offered for */
export const ACTIONS = {
	suspend: { title: 'Suspend', icon: 'pause', reason: true, states: ['Pending', 'Running'], text: 'It takes no turns until it is resumed. Events that come meanwhile are kept.' },
	resume: { title: 'Resume', icon: 'play', reason: true, states: ['Suspended'], text: 'It continues where it waited.' },
	terminate: { title: 'Terminate', icon: 'stop', reason: true, typed: true, danger: true, states: ['Pending', 'Running', 'Suspended'], text: 'It ends now, with its sub-orchestrations. This cannot be undone.' },
	rewind: { title: 'Rewind', icon: 'undo', reason: true, states: ['Failed'], text: 'Failed calls no longer count and are made again; what has succeeded stays.' },
	restart: { title: 'Restart', icon: 'refresh', states: ['Completed', 'Failed', 'Terminated'], text: 'A new instance is started with the same name and input.' },
	purge: { title: 'Purge', icon: 'trash', typed: true, danger: true, states: ['Completed', 'Failed', 'Terminated'], text: 'The instance and its history are deleted. This cannot be undone.' }
};

const DONE = { suspend: 'suspended', resume: 'resumed', terminate: 'terminated', rewind: 'rewound', restart: 'restarted', purge: 'purged' };

export const offered = status => Object.keys(ACTIONS).filter(a => ACTIONS[a].states.includes(status));

function sqlOf(action, id, reason) {
	return `SELECT durable.${action}(${literal(id)}${ACTIONS[action].reason && reason ? `, ${literal(reason)}` : ''});`;
}

function curlOf(method, path, body) {
	const parts = ['curl', '-X', method, shellWord(location.origin + path)];
	if (body !== undefined)
		parts.push('-H', shellWord('Content-Type: application/json'), '-d', shellWord(JSON.stringify(body)));
	return parts.join(' ');
}

function requestOf(action, id, reason) {
	const path = `${BASE}/instances/${part(id)}`;
	return action === 'purge' ? ['DELETE', path] : ['POST', url(`${path}/${action}`, ACTIONS[action].reason ? { reason } : {})];
}

function shows() {
	const place = h('div', { class: 'shows' });
	return {
		element: place,
		update: (sql, curl) => put(place, h('div', { class: 'small soft' }, 'The same in SQL'), statement(sql, { name: 'the SQL' }), h('div', { class: 'small soft' }, 'and by HTTP'), statement(curl, { name: 'the curl command', plain: true }))
	};
}

/** Asks and acts on one instance; done(answer) is called afterwards. */
export function actOnOne(action, id, done) {
	const a = ACTIONS[action];
	const reason = h('input', { name: 'reason', maxlength: 1000, oninput: () => update() });
	const seen = shows();
	const update = () => seen.update(sqlOf(action, id, reason.value), curlOf(...requestOf(action, id, reason.value)));
	update();
	dialog({
		title: `${a.title} this instance?`,
		content: () => [h('p', {}, a.text), h('p', { class: 'mono' }, id), a.reason ? h('label', { class: 'field' }, 'Reason (optional)', reason) : null, seen.element],
		buttons: h('button', { class: a.danger ? 'danger sure' : 'primary', type: 'submit' }, icon(a.icon), a.title),
		submit: async () => {
			const [method, path] = requestOf(action, id, reason.value);
			const answer = await request(method, path);
			toast(`The instance is ${action === 'suspend' ? 'suspended as of its next turn' : DONE[action]}.`);
			done(answer.text ? JSON.parse(answer.text) : null);
		}
	});
}

/* What can be done with a schedule or a queue: the function, the texts of the dialog (paused: of one that is paused), and what is said afterwards. */
const PARTS = {
	schedules: {
		pause: { title: 'Pause', icon: 'pause', call: 'pause_schedule', text: 'The schedule starts no instances until it is unpaused. Times of the pause are not made up for.', done: () => 'The schedule is paused.' },
		unpause: { title: 'Unpause', icon: 'play', call: 'unpause_schedule', text: 'The schedule continues with its next time.', done: () => 'The schedule continues.' },
		trigger: { title: 'Trigger', icon: 'bell', call: 'trigger_schedule', text: 'The schedule runs once, now. Its overlap decides what happens if an earlier run has not ended.', paused: 'The schedule is paused: this runs it once, and it stays paused.', done: answer => answer?.instanceId ? `The instance ${answer.instanceId} is started.` : 'The run is skipped, because an earlier one has not ended.' }
	},
	queues: {
		pause: { title: 'Pause', icon: 'pause', call: 'pause_queue', text: 'Nothing begins in the queue until it is unpaused. Leased work continues.', done: () => 'The queue is paused.' },
		unpause: { title: 'Unpause', icon: 'play', call: 'unpause_queue', text: 'The queue continues.', done: () => 'The queue continues.' }
	}
};

/** The buttons of a schedule or a queue (kind: schedules or queues); done() is called after an action. */
export function partButtons(kind, row, done) {
	if (!row.may_control)
		return h('span', { class: 'soft small' }, 'Another role controls it.');
	return h('div', { class: 'acts' }, Object.keys(PARTS[kind]).filter(a => a !== (row.is_paused ? 'pause' : 'unpause')).map(action => {
		const a = PARTS[kind][action];
		const hint = row.is_paused ? a.paused ?? null : null;
		return h('button', { type: 'button', class: 'tiny', data: { focus: `${action === 'trigger' ? action : 'pause'} ${row.owner} ${row.name}` }, 'aria-label': `${a.title} ${row.name}`, title: hint, onclick: () => actOnPart(kind, action, row.name, hint, done) }, icon(a.icon), a.title);
	}));
}

function actOnPart(kind, action, name, hint, done) {
	const a = PARTS[kind][action];
	const path = `/api/v1/${kind}/${part(name)}/${action}`;
	const seen = shows();
	seen.update(`SELECT durable.${a.call}(${literal(name)});`, curlOf('POST', path));
	dialog({
		title: `${a.title} this ${kind.slice(0, -1)}?`,
		content: () => [h('p', {}, a.text), hint ? h('p', { class: 'note' }, hint) : null, h('p', { class: 'mono' }, name), seen.element],
		buttons: h('button', { class: 'primary', type: 'submit' }, icon(a.icon), a.title),
		submit: async () => {
			toast(a.done(await post(path)));
			done();
		}
	});
}

/** Raises an event. */
export function raiseEvent(id, names, done, chosen = '') {
	const name = h('input', { name: 'event', required: true, list: 'event-names', value: chosen || names[0] || '', autocomplete: 'off', oninput: () => update() });
	const data = h('textarea', { name: 'data', spellcheck: 'false', placeholder: 'null, true, "text", {"amount": 3}', oninput: () => update() });
	const seen = shows();
	const path = () => `${BASE}/instances/${part(id)}/raiseEvent/${part(name.value)}`;
	const value = () => data.value.trim() === '' ? null : JSON.parse(data.value);
	function update() {
		let body;
		try { body = value(); data.setCustomValidity(''); } catch { data.setCustomValidity('This is not JSON. A text needs double quotes.'); body = null; }
		seen.update(`SELECT durable.raise_event(${literal(id)}, ${literal(name.value)}${body === null ? '' : `, ${literal(JSON.stringify(body))}::jsonb`});`, curlOf('POST', path(), body));
	}
	update();
	dialog({
		title: 'Raise an event',
		content: () => [h('label', { class: 'field' }, 'Name', name), h('datalist', { id: 'event-names' }, names.map(n => h('option', { value: n }))),
			h('label', { class: 'field' }, 'Data, as JSON (optional)', data), seen.element],
		buttons: h('button', { class: 'primary', type: 'submit' }, icon('bell'), 'Raise'),
		submit: async () => {
			await post(path(), value());
			toast(`The event ${name.value} is raised.`);
			done();
		}
	});
}

/** Starts an instance. */
export function startOne(done) {
	const name = h('input', { name: 'orchestration', required: true, list: 'orchestrations', autocomplete: 'off', oninput: () => update() });
	const names = h('datalist', { id: 'orchestrations' });
	const id = h('input', { name: 'id', autocomplete: 'off', placeholder: 'made up if empty', oninput: () => update() });
	const input = h('textarea', { name: 'input', spellcheck: 'false', placeholder: 'null, true, "text", {"amount": 3}', oninput: () => update() });
	const seen = shows();
	const path = () => `${BASE}/orchestrators/${part(name.value)}${id.value ? `/${part(id.value)}` : ''}`;
	const value = () => input.value.trim() === '' ? undefined : JSON.parse(input.value);
	function update() {
		let body;
		try { body = value(); input.setCustomValidity(''); } catch { input.setCustomValidity('This is not JSON. A text needs double quotes.'); }
		seen.update(`SELECT durable.start(${literal(name.value)}${body === undefined ? '' : `, ${literal(JSON.stringify(body))}::jsonb`}${id.value ? `, instance_id => ${literal(id.value)}` : ''});`, curlOf('POST', path(), body));
	}
	update();
	get('/api/v1/registrations').then(({ registrations }) => put(names, registrations.filter(r => r.kind === 'orchestration').map(r => h('option', { value: r.name }))), () => {});
	dialog({
		title: 'Start an instance',
		content: () => [h('label', { class: 'field' }, 'Orchestration', name), names, h('label', { class: 'field' }, 'Instance id', id), h('label', { class: 'field' }, 'Input, as JSON (optional)', input), seen.element],
		buttons: h('button', { class: 'primary', type: 'submit' }, icon('play'), 'Start'),
		submit: async () => done((await post(path(), value())).id)
	});
}

/** Acts on many; whoever ends or deletes many has to type so. */
export function actOnMany(action, ids, done) {
	const a = ACTIONS[action];
	const phrase = `${action} ${ids.length}`;
	const typed = h('input', { name: 'typed', autocomplete: 'off', spellcheck: 'false', oninput: () => { button.disabled = a.typed && typed.value.trim() !== phrase; } });
	const reason = h('input', { name: 'reason', maxlength: 1000, oninput: () => update() });
	const button = h('button', { class: a.danger ? 'danger sure' : 'primary', type: 'submit', disabled: a.typed }, icon(a.icon), `${a.title} ${plural(ids.length, 'instance')}`);
	const seen = shows();
	const body = list => ({ action, instanceIds: list, ...(a.reason && reason.value ? { reason: reason.value } : {}) });
	const few = ids.slice(0, 3);
	const more = ids.length > 3 ? ', ...' : '';
	const update = () => seen.update(`SELECT durable.${action}(id${a.reason && reason.value ? `, ${literal(reason.value)}` : ''}) FROM unnest(ARRAY[${few.map(literal).join(', ')}${more}]) AS id;`,
		curlOf('POST', '/api/v1/bulk', body(few)).replace(/\](?=[^\]]*$)/, `${more}]`));
	update();
	dialog({
		title: `${a.title} ${plural(ids.length, 'instance')}?`,
		content: () => [h('p', {}, a.text.replace(/^It takes/, 'They take').replace(/^It continues where it/, 'They continue where they').replace(/^It ends now, with its/, 'They end now, with their').replace('until it is', 'until they are').replace(/^The instance and its history are/, 'The instances and their histories are').replace(/^A new instance is started with the same/, 'A new instance is started for each, with the same')),
			a.reason ? h('label', { class: 'field' }, 'Reason (optional)', reason) : null,
			a.typed ? h('label', { class: 'field' }, h('span', {}, 'To go on, type ', h('b', { class: 'mono' }, phrase)), typed) : null, seen.element],
		buttons: button,
		submit: async () => {
			const refused = [];
			let n = 0;
			for (let i = 0; i < ids.length; i += 500) {
				const answer = await post('/api/v1/bulk', body(ids.slice(i, i + 500)), { timeout: 60000 });
				n += answer.done.length;
				refused.push(...answer.refused);
			}
			toast(`${plural(n, 'instance')} ${DONE[action]}${refused.length ? `; ${refused.length} refused: ${refused[0].message}` : '.'}`, refused.length > 0);
			done();
		}
	});
}
