/*
 * detail.js - /workflows/ID: one instance, its calls over time, its history, what it waits for, and what can be done.
 *
 * It is asked for every two seconds until it has ended.  Only new events of the history are read; a history of thousands
 * is a table of which the rows near the window are elements.
 */
import { find, h, icon, mark, put, say, statusBadge } from '../dom.js';
import { get, part, poll, url } from '../http.js';
import { at, breakable, compute, count, duration, json, literal, plural, shortName } from '../format.js';
import { relight, source, statement } from '../code.js';
import { bones, complain, copy, empty, failure } from '../shell.js';
import { timeline } from '../timeline.js';
import { virtualRows } from '../virtual.js';
import { ACTIONS, actOnOne, offered, raiseEvent } from './actions.js';
import { byWeight, tickWaits, waitList } from './waits.js';

const TIMELINE_CALLS = 3000;

export function detail(id) {
	const main = find('#main');
	const api = `/api/v1/instances/${part(id)}`;
	let instance = null;
	let offset = 0;
	let events = [];
	let execution = null;
	let lastSeen = '';
	let filter = 'all';
	let cursor = -1;
	let pauseReading = false;

	document.title = `${id} - Durable`;
	const head = h('div', { class: 'detail-head' });
	const actions = h('div', { class: 'row', role: 'group', 'aria-label': 'Actions' });
	const facts = h('dl', { class: 'facts' });
	const waits = h('section', { class: 'card', 'aria-labelledby': 'waits-title', hidden: true });
	const payloads = h('div', { class: 'payloads' });
	const code = h('section', { class: 'card', 'aria-labelledby': 'code-title', hidden: true });
	const family = h('section', { class: 'card', 'aria-labelledby': 'family-title', hidden: true });
	const drawing = timeline({ label: 'Timeline of the calls; the history below has the same', onPick: bar => bar.task && pick(events.findIndex(e => e.task === bar.task)) });
	const note = h('p', { class: 'soft small' });
	const linear = h('input', { type: 'checkbox', onchange: e => drawing.mode(!e.target.checked) });
	const lineCard = h('section', { class: 'card', 'aria-labelledby': 'time-title' },
		h('header', {}, h('h2', { id: 'time-title' }, 'Timeline'), h('label', { class: 'small' }, linear, ' Time to scale')),
		h('div', { class: 'in' }, drawing.element, note,
			h('p', { class: 'legend' }, h('span', {}, h('i', { class: 'work' }), 'activity'), h('span', {}, h('i', { class: 'wait' }), 'timer or event'), h('span', {}, h('i', { class: 'sub' }), 'sub-orchestration'), h('span', {}, h('i', { class: 'event' }), 'event'))));

	const tbody = h('tbody');
	const historyTable = h('table', { class: 'rows history', 'aria-label': 'History', 'aria-rowcount': -1 },
		h('thead', {}, h('tr', {}, ['#', 'Time', 'Event', 'Name', 'Payload'].map((t, i) => h('th', { scope: 'col', class: i === 0 ? 'num' : null }, t)))), tbody);
	const filters = h('div', { class: 'tabs', role: 'group', 'aria-label': 'Events shown' }, [['all', 'All'], ['open', 'Pending'], ['failed', 'Failed']].map(([k, t]) =>
		h('button', { type: 'button', class: 'tiny', 'aria-pressed': String(k === 'all'), data: { k }, onclick: () => setFilter(k) }, t)));
	const historyPlace = h('div', {}, bones());
	const historyCount = h('span', { class: 'soft small', role: 'status' });
	const historyCard = h('section', { class: 'card list', 'aria-labelledby': 'history-title' },
		h('header', {}, h('h2', { id: 'history-title' }, 'History'), historyCount, filters), historyPlace);

	const frame = h('div', { class: 'detail-grid' }, h('div', { class: 'detail-main' }, lineCard, historyCard), h('aside', { class: 'detail-side', 'aria-label': 'State' }, waits, payloads, family, code));
	put(main, h('p', { class: 'back' }, h('a', { href: '/workflows' }, 'All workflows')), head, frame);
	put(head, bones());

	/* --- the history ---------------------------------------------------------------------------------------------------- */

	const rows = virtualRows({
		tbody, key: e => `${e.execution}.${e.seq ?? `${e.eventType}${e.task}${e.createdAt}`}`, signature: e => e.eventType,
		render: (e, index) => h('tr', { tabindex: '-1', class: kindOf(e), onclick: event => { if (!event.target.closest('a, button')) inspect(index); } },
			h('td', { class: 'num soft' }, e.seq ?? ''),
			h('td', { class: 'c-time' }, h('time', { datetime: e.createdAt, title: e.createdAt }, `+${duration(Date.parse(e.createdAt) - Date.parse(instance.createdTime))}`)),
			h('td', { class: 'c-event' }, h('button', { type: 'button', class: 'quiet tiny event', data: { focus: 'open' }, onclick: () => inspect(index) }, breakable(e.eventType)),
				e.task ? h('span', { class: 'tag', title: 'the number of the call' }, `call ${e.task}`) : null),
			h('td', { class: 'c-what clip' }, shortName(nameOf(e) ?? '')),
			h('td', { class: 'c-payload clip mono' }, preview(e)))
	});

	const openTasks = () => {
		const open = new Set();
		for (const e of events) {
			if (/^(TaskScheduled|TimerCreated|EventWaitCreated|SubOrchestrationInstanceCreated)$/.test(e.eventType))
				open.add(e.task);
			else if (e.task && /(Completed|Failed|Fired)$/.test(e.eventType) && !/AttemptFailed$/.test(e.eventType))
				open.delete(e.task);
			else if (/(Canceled)$/.test(e.eventType))
				open.delete(Number(e.payload));
		}
		// An event answers the oldest wait for its name.
		for (const e of events)
			if (e.eventType === 'EventRaised') {
				const wait = events.find(x => x.eventType === 'EventWaitCreated' && x.name === e.name && open.has(x.task));
				if (wait)
					open.delete(wait.task);
			}
		return open;
	};

	const nameOf = e => e.name ?? (e.task ? names.get(e.task) : null);
	const names = new Map();

	function shown() {
		if (filter === 'failed')
			return events.filter(e => /Failed$/.test(e.eventType));
		if (filter === 'open') {
			const open = openTasks();
			return events.filter(e => open.has(e.task) && /(Scheduled|Created)$/.test(e.eventType));
		}
		return events;
	}

	function setFilter(k) {
		filter = k;
		cursor = -1;
		for (const b of filters.children)
			mark(b, 'aria-pressed', String(b.dataset.k === k));
		drawHistory();
	}

	function drawHistory() {
		const list = shown();
		say(historyCount, filter === 'all' ? plural(events.length, 'event') : `${count(list.length)} of ${plural(events.length, 'event')}`);
		if (list.length === 0) {
			put(historyPlace, empty('list', filter === 'all' ? 'No events yet' : filter === 'open' ? 'Nothing is pending' : 'Nothing has failed',
				filter === 'all' ? 'The history begins with the first turn.' : 'Choose All to see the whole history.'));
			return;
		}
		if (!historyTable.isConnected)
			put(historyPlace, historyTable);
		rows.set(list);
	}

	function pick(index) {
		if (index < 0)
			return;
		if (filter !== 'all')
			setFilter('all');
		cursor = index;
		rows.focus(index);
	}

	function inspect(index) {
		const list = shown();
		const e = list[index];
		cursor = index;
		import('./inspector.js').then(({ inspector }) => inspector(e, nameOf(e), api));
	}

	async function readHistory() {
		if (pauseReading)
			return;
		pauseReading = true;
		try {
			if (execution !== instance.execution) {
				events = [];
				names.clear();
				execution = instance.execution;
			}
			for (;;) {
				const numbered = events.filter(e => e.seq !== null);
				const page = await get(url(`${api}/history`, { top: 1000, after: numbered.length ? numbered.at(-1).seq : null }));
				// Attempts that failed have no number and come with each first page.
				const attempts = page.events.filter(e => e.seq === null);
				events = (attempts.length || numbered.length === 0 ? numbered : numbered.concat(events.filter(e => e.seq === null && page.events.length === 0))).concat(page.events.filter(e => e.seq !== null), attempts);
				for (const e of page.events)
					if (e.task && e.name && !names.has(e.task))
						names.set(e.task, e.name);
				drawHistory();
				if (page.next === null)
					break;
			}
		} finally {
			pauseReading = false;
		}
	}

	/* --- the timeline ----------------------------------------------------------------------------------------------------- */

	async function readCalls() {
		const { calls } = await get(`${api}/calls`);
		const ms = t => t ? Date.parse(t) : null;
		const drawn = calls.slice(-TIMELINE_CALLS);
		say(note, calls.length > drawn.length ? `The last ${count(drawn.length)} of ${count(calls.length)} calls.` : '');
		note.hidden = !note.textContent;
		const lanes = new Map();
		for (const c of drawn) {
			if (!['activity', 'timer', 'event', 'orchestration'].includes(c.kind))
				continue;
			const label = c.kind === 'timer' ? 'timer' : shortName(c.name);
			const key = `${c.kind} ${label}`;
			if (!lanes.has(key))
				lanes.set(key, { label, bars: [], marks: [] });
			const to = ms(c.answeredAt) ?? ms(instance.completedTime);
			lanes.get(key).bars.push({ task: c.task, from: ms(c.calledAt), to, text: `${c.task}. ${label}, ${c.state}`, failed: c.state === 'failed', kind: c.kind === 'activity' ? 'work' : c.kind === 'orchestration' ? 'sub' : 'wait' });
			if (c.kind === 'event' && c.state === 'completed')
				lanes.get(key).marks.push({ task: c.task, at: to, kind: 'event', text: `event ${c.name}` });
		}
		const list = [...lanes.values()];
		const shownLanes = list.slice(0, 24);
		if (list.length > 24)
			say(note, `${note.textContent} ${plural(list.length - 24, 'further name')} not drawn.`.trim());
		note.hidden = !note.textContent;
		drawing.update([{ label: shortName(instance.name), bars: [], marks: [{ at: ms(instance.createdTime), kind: 'start', text: 'created' },
			...(instance.completedTime ? [{ at: ms(instance.completedTime), kind: 'end', text: instance.runtimeStatus, failed: instance.runtimeStatus !== 'Completed' }] : [])] }, ...shownLanes], Date.now() + offset);
	}

	/* --- the rest ----------------------------------------------------------------------------------------------------------- */

	let drawn = '';

	function draw() {
		const i = instance;
		const key = JSON.stringify({ ...i, now: 0, durationMs: 0 });
		tick();
		if (key === drawn)
			return;
		drawn = key;
		put(head,
			h('div', { class: 'page-head' }, h('div', { class: 'grow' },
				h('h1', { class: 'mono id' }, breakable(i.instanceId), ' ', h('button', { type: 'button', class: 'quiet tiny', 'aria-label': 'Copy the instance id', title: 'Copy the instance id', onclick: () => copy(i.instanceId, 'The id is copied.') }, icon('copy'))),
				h('p', { class: 'soft' }, shortName(i.name), i.parentInstanceId ? [', child of ', h('a', { href: `/workflows/${part(i.parentInstanceId)}` }, i.parentInstanceId)] : null)),
			statusBadge(i.runtimeStatus), actions),
			i.customStatus !== null ? h('p', { class: 'note' }, h('b', {}, 'Status: '), typeof i.customStatus === 'string' ? i.customStatus : json(i.customStatus, 0)) : null,
			i.suspendReason ? h('p', { class: 'note' }, h('b', {}, 'Suspended: '), i.suspendReason) : null,
			i.failure ? h('p', { class: 'note bad' }, h('b', {}, i.runtimeStatus === 'Failed' ? 'Failure: ' : 'Reason: '), i.failure.message ?? i.failure.reason ?? json(i.failure, 0)) : null,
			facts);
		put(facts, Object.entries({
			Created: h('time', { datetime: i.createdTime }, at(i.createdTime)), Duration: h('span', { id: 'duration' }, duration(i.durationMs)), Computing: `${compute(i.computeMs)} in ${plural(i.turns, 'turn')}`,
			Ended: i.completedTime ? h('time', { datetime: i.completedTime }, at(i.completedTime)) : null, Execution: i.execution > 1 ? String(i.execution) : null,
			Owner: i.owner, Version: i.version, Tags: i.tags ? json(i.tags, 0) : null, 'Dropped events': i.droppedEvents || null
		}).filter(([, v]) => v !== null && v !== undefined).map(([k, v]) => h('div', {}, h('dt', {}, k), h('dd', {}, v))));
		put(actions, i.mayControl ? [
			['Pending', 'Running', 'Suspended'].includes(i.runtimeStatus) ? h('button', { type: 'button', class: i.waits.some(w => w.kind === 'event') ? 'primary' : null, id: 'raise', onclick: () => raise() }, icon('bell'), 'Raise event') : null,
			offered(i.runtimeStatus).map(a => h('button', { type: 'button', class: ACTIONS[a].danger ? 'danger' : null, onclick: () => actOnOne(a, id, answer => {
				if (a === 'purge')
					location.href = '/workflows';
				else if (a === 'restart' && answer?.id)
					location.href = `/workflows/${part(answer.id)}`;
				else
					asking.now();
			}) }, icon(ACTIONS[a].icon), ACTIONS[a].title))
		] : h('span', { class: 'soft small' }, 'You may look at it, and not control it.'));

		waits.hidden = i.waits.length === 0 && i.bufferedEvents.length === 0;
		put(waits, h('header', {}, h('h2', { id: 'waits-title' }, 'Waits for')),
			h('ul', { class: 'in waiting' }, byWeight(i.waits).slice(0, 50).map(w => h('li', {}, waitList([w]), h('span', { class: 'soft small' }, w.since ? `since ${at(w.since)}` : '', w.line ? `, line ${w.line}` : ''),
				w.kind === 'event' && i.mayControl ? h('button', { type: 'button', class: 'tiny', onclick: () => raise(w.detail) }, icon('bell'), 'Raise it') : null)),
			i.waits.length > 50 ? h('li', { class: 'soft' }, `and ${i.waits.length - 50} more`) : null),
			i.bufferedEvents.length ? h('div', { class: 'in buffered' }, h('h3', {}, 'Events that no wait has taken'), h('ul', {}, i.bufferedEvents.slice(0, 50).map(b => h('li', {}, h('code', {}, b.event), ` received ${at(b.receivedAt)}`)))) : null);

		put(payloads, [['Input', i.input], ['Output', i.output], ['Failure', i.failure]].filter(([, v]) => v !== null && v !== undefined).map(([title, value]) => payload(title, value)),
			i.mayRead ? null : h('p', { class: 'note' }, 'Inputs, outputs and failures are not shown to your role.'));

		family.hidden = i.children.length === 0;
		put(family, h('header', {}, h('h2', { id: 'family-title' }, plural(i.children.length, 'sub-orchestration'))),
			h('ul', { class: 'in children' }, i.children.slice(0, 200).map(c => h('li', {}, c.instanceId ? h('a', { href: `/workflows/${part(c.instanceId)}` }, c.instanceId) : c.name, ' ', h('span', { class: 'tag' }, c.state)))));
		tick();
	}

	function payload(title, value) {
		const cut = value?.isCut === true;
		const text = cut ? value.beginning : json(value);
		const pre = h('pre', { tabindex: '0', role: 'region', 'aria-label': title }, text);
		return h('section', { class: 'card payload' }, h('header', {}, h('h2', {}, title), cut ? h('span', { class: 'soft small' }, `${count(value.length)} characters, the beginning is shown`) : null,
			h('button', { type: 'button', class: 'quiet tiny', 'aria-label': `Copy the ${title.toLowerCase()}`, onclick: () => copy(text) }, icon('copy'))), pre);
	}

	const raise = (name = '') => raiseEvent(id, [...new Set(instance.waits.filter(w => w.kind === 'event').map(w => w.detail))], () => asking.now(), name);

	let codeText = null;
	let codeElement = null;

	async function readSource() {
		const answer = await get(`${api}/source`).catch(() => null);
		if (!answer?.source)
			return;
		code.hidden = false;
		if (codeText !== answer.source) {
			codeText = answer.source;
			codeElement = source(codeText, answer.lines, 'Code');
			put(code, h('header', {}, h('h2', { id: 'code-title' }, 'Code'), h('span', { class: 'soft small' }, shortName(instance.name))), codeElement,
				h('div', { class: 'in' }, statement(`SELECT * FROM durable.explain(${literal(id)});`)));
		}
		relight(codeElement, answer.lines);
	}

	function tick() {
		tickWaits(waits, offset);
		const d = find('#duration');
		if (d && instance && !instance.completedTime)
			say(d, duration(Date.now() + offset - Date.parse(instance.createdTime)));
	}

	async function refresh() {
		let fresh;
		try {
			fresh = await get(api);
		} catch (error) {
			if (!instance || error.status === 404) {
				instance = null;
				put(main, h('p', { class: 'back' }, h('a', { href: '/workflows' }, 'All workflows')),
					error.status === 404 ? empty('search', 'There is no such instance', h('p', { class: 'mono' }, id), 'It may have been purged, or belong to a role whose instances you may not see.', h('a', { class: 'button', href: '/workflows' }, 'All workflows'))
						: failure(error, () => location.reload()));
				if (error.status === 404)
					asking.stop();
			}
			return;
		}
		if (!frame.isConnected)
			put(main, h('p', { class: 'back' }, h('a', { href: '/workflows' }, 'All workflows')), head, frame);
		instance = fresh;
		offset = Date.parse(fresh.now) - Date.now();
		draw();
		const seen = `${fresh.lastUpdatedTime} ${fresh.turns} ${fresh.runtimeStatus} ${fresh.execution}`;
		if (seen !== lastSeen) {
			lastSeen = seen;
			try {
				await Promise.all([readHistory(), readCalls(), readSource()]);
			} catch (error) {
				lastSeen = '';
				if (events.length === 0)
					put(historyPlace, failure(error));
				else
					complain(error);
			}
		}
	}

	const asking = poll(refresh, 2000);
	setInterval(() => { if (!document.hidden && instance) tick(); }, 1000);

	document.addEventListener('keydown', event => {
		if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select, dialog'))
			return;
		const list = shown();
		if ((event.key === 'j' || event.key === 'k') && list.length) {
			cursor = Math.max(0, Math.min(list.length - 1, cursor + (event.key === 'j' ? 1 : -1)));
			rows.focus(cursor);
		} else if (event.key === 'Enter' && event.target.matches('tr')) {
			inspect(cursor);
		} else if (event.key === 'e') {
			find('#raise')?.click();
		} else if (event.key === 'b') {
			location.href = '/workflows';
		}
	});
}

function kindOf(e) {
	return /Failed$/.test(e.eventType) ? 'ev-failed' : /^Execution/.test(e.eventType) ? 'ev-execution' : /^Event/.test(e.eventType) ? 'ev-event' : /^Timer/.test(e.eventType) ? 'ev-timer' : 'ev-task';
}

function preview(e) {
	if (e.payload === null)
		return e.detail ? json(e.detail, 0).slice(0, 200) : '';
	return (e.payload.isCut ? e.payload.beginning : json(e.payload, 0)).slice(0, 200);
}
