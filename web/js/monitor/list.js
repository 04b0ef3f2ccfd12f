/*
 * list.js - /workflows: the instances, newest first, and what they wait for.
 *
 * The list is read page by page with the cursor of the page before, so a page costs the same among a million.  What is
 * shown is asked for again every few seconds, unless that is stopped; rows keep their elements.  All filters are in the
 * address, so a view can be sent to somebody.
 */
import { find, h, icon, mark, put, say, statusBadge } from '../dom.js';
import { get, poll, url } from '../http.js';
import { at, breakable, compute, count, duration, plural, shortName } from '../format.js';
import { bones, complain, empty, failure } from '../shell.js';
import { virtualRows } from '../virtual.js';
import { ACTIONS, actOnMany, offered, startOne } from './actions.js';
import { tickWaits, waitList, waitWords } from './waits.js';

const STATUSES = ['Pending', 'Running', 'Suspended', 'Completed', 'Failed', 'Terminated'];
const PAGE = 100;
const MOST_REFRESHED = 500;

export function list() {
	const main = find('#main');
	const filter = readFilter();
	const selected = new Set();
	let items = [];
	let next = null;
	let loading = false;
	let paused = false;
	let offset = 0;
	let generation = 0;
	let cursor = -1;
	let isCostly = false;

	/* --- the frame ---------------------------------------------------------------------------------------------------- */

	const chips = h('div', { class: 'chips', role: 'group', 'aria-label': 'Status' });
	const prefix = h('input', { type: 'search', value: filter.prefix, placeholder: 'Instance id begins with', 'aria-label': 'Instance id begins with', 'data-search': '', oninput: debounce(e => change({ prefix: e.target.value })) });
	const name = h('input', { type: 'search', value: filter.name, placeholder: 'Any orchestration', 'aria-label': 'Orchestration', list: 'names', onchange: e => change({ name: e.target.value.trim() }) });
	const names = h('datalist', { id: 'names' });
	const from = h('input', { type: 'datetime-local', value: filter.from, 'aria-label': 'Created from', onchange: e => change({ from: e.target.value }) });
	const to = h('input', { type: 'datetime-local', value: filter.to, 'aria-label': 'Created to', onchange: e => change({ to: e.target.value }) });
	const all = h('input', { type: 'checkbox', 'aria-label': 'Select all instances that are loaded', onchange: e => selectAll(e.target.checked) });
	const tbody = h('tbody');
	const table = h('table', { class: 'rows', 'aria-rowcount': -1, 'aria-label': 'Instances' },
		h('thead', {}, h('tr', {}, h('th', { scope: 'col', class: 'check' }, all),
			['Status', 'Instance', 'Waits for', 'Created', 'Duration', 'Computing'].map((t, i) => h('th', { scope: 'col', class: i > 3 ? 'num' : null }, t)))), tbody);
	const place = h('div', { class: 'card list' });
	const more = h('button', { type: 'button', onclick: () => load(false) }, 'Load more');
	const foot = h('div', { class: 'list-foot', hidden: true }, h('span', { class: 'soft', role: 'status' }), more);
	const bulk = h('div', { class: 'bulk', role: 'region', 'aria-label': 'Actions on the selection', hidden: true });
	const pause = h('button', { type: 'button', class: 'quiet', 'aria-pressed': 'false', onclick: flipPause }, icon('pause'), h('span', {}, 'Refreshing'));
	const tabs = h('div', { class: 'tabs', role: 'group', 'aria-label': 'View' },
		h('button', { type: 'button', onclick: () => change({ view: '', kind: '', detail: '' }) }, 'Instances'),
		h('button', { type: 'button', onclick: () => change({ view: 'waiting', kind: '', detail: '' }) }, 'What they wait for'));
	const crumb = h('p', { class: 'crumb note', hidden: true });

	put(main,
		h('div', { class: 'page-head' }, h('h1', {}, 'Workflows'), tabs, h('span', { class: 'grow' }), pause,
			h('button', { type: 'button', class: 'primary', onclick: () => startOne(id => { location.href = `/workflows/${encodeURIComponent(id)}`; }) }, icon('play'), 'Start')),
		chips,
		h('details', { class: 'filters', open: matchMedia('(min-width: 721px)').matches }, h('summary', {}, icon('search'), 'Filters'),
			h('div', { class: 'filter-row' }, prefix, name, names,
				h('label', { class: 'inline' }, 'from', from), h('label', { class: 'inline' }, 'to', to),
				h('button', { type: 'button', class: 'quiet', onclick: () => change({ prefix: '', name: '', from: '', to: '', status: '', kind: '', detail: '' }) }, icon('cross'), 'Clear'))),
		crumb, place, foot, bulk);
	put(place, bones());

	const rows = virtualRows({
		tbody, key: i => i.instanceId + i.owner, render: row,
		signature: i => `${i.lastUpdatedTime}${i.runtimeStatus}${i.waits.length}${selected.has(i.instanceId)}${JSON.stringify(i.waits[0] ?? '')}`
	});

	function row(item, index) {
		const done = item.completedTime !== null && item.completedTime !== undefined;
		return h('tr', { tabindex: '-1', data: { index }, class: selected.has(item.instanceId) ? 'selected' : null },
			h('td', { class: 'check' }, h('input', { type: 'checkbox', checked: selected.has(item.instanceId), 'aria-label': `Select ${item.instanceId}`, data: { focus: 'check' }, onclick: event => select(item, index, event.target.checked, event.shiftKey) })),
			h('td', { class: 'c-status' }, statusBadge(item.runtimeStatus)),
			h('td', { class: 'c-name' }, h('a', { class: 'clip', href: `/workflows/${encodeURIComponent(item.instanceId)}`, data: { focus: 'open' }, title: item.instanceId }, item.instanceId),
				h('span', { class: 'soft small clip', title: item.name }, shortName(item.name), item.parentInstanceId ? ` · child of ${item.parentInstanceId}` : '')),
			h('td', { class: 'c-waits' }, waitCell(item)),
			h('td', { class: 'c-created' }, h('time', { datetime: item.createdTime }, at(item.createdTime))),
			h('td', { class: 'num c-duration', data: done ? null : { since: Date.parse(item.createdTime) } }, duration(item.durationMs)),
			h('td', { class: 'num c-compute', title: plural(item.turns, 'turn') }, compute(item.computeMs)));
	}

	function waitCell(item) {
		if (item.runtimeStatus === 'Failed' || item.runtimeStatus === 'Terminated') {
			const f = item.failure;
			return h('span', { class: 'clip soft', title: f?.message ?? f?.reason ?? null }, f?.message ?? f?.reason ?? '');
		}
		return item.waits.length ? waitList(item.waits, item.waits.length > 2 ? 1 : 2) : '';
	}

	/* --- filters ------------------------------------------------------------------------------------------------------ */

	function change(changes) {
		Object.assign(filter, changes);
		writeFilter(filter);
		for (const [field, key] of [[prefix, 'prefix'], [name, 'name'], [from, 'from'], [to, 'to']])
			if (field !== document.activeElement)
				field.value = filter[key];
		selected.clear();
		drawBulk();
		drawChips();
		load(true);
	}

	let counts = [];

	function drawChips() {
		const of = status => counts.filter(c => c.runtime_status === status && (!filter.name || c.name === filter.name)).reduce((n, c) => n + c.instances, 0);
		const chosen = filter.status ? filter.status.split(',') : [];
		if (chips.children.length === 0)
			put(chips, ['', ...STATUSES].map(s => h('button', { type: 'button', class: `chip ${s}`, data: { status: s }, onclick: () => flip(s) },
				h('b', { class: 'num' }), h('span', {}, s || 'All'))));
		for (const chip of chips.children) {
			const s = chip.dataset.status;
			say(chip.firstChild, count(s ? of(s) : STATUSES.reduce((n, x) => n + of(x), 0)));
			mark(chip, 'aria-pressed', String(s ? chosen.includes(s) : chosen.length === 0));
		}
		const [a, b] = tabs.children;
		mark(a, 'aria-pressed', String(filter.view !== 'waiting'));
		mark(b, 'aria-pressed', String(filter.view === 'waiting'));
		find('.filters', main).classList.toggle('few', filter.view === 'waiting');
		crumb.hidden = !(filter.view === 'waiting' && filter.kind);
		if (!crumb.hidden)
			put(crumb, `Instances${filter.name ? ` of ${shortName(filter.name)}` : ''} that wait for `, h('b', {}, waitWords({ kind: filter.kind, detail: filter.detail })), ', the longest waiting first. ',
				h('a', { href: '/workflows?view=waiting', onclick: e => { e.preventDefault(); change({ kind: '', detail: '', name: '' }); } }, 'All waits'));
	}

	function flip(status) {
		const chosen = new Set(filter.status ? filter.status.split(',') : []);
		if (status === '')
			chosen.clear();
		else if (!chosen.delete(status))
			chosen.add(status);
		change({ status: [...chosen].join(','), ...(filter.view === 'waiting' ? { view: '', kind: '', detail: '' } : {}) });
	}

	/* --- loading ------------------------------------------------------------------------------------------------------ */

	const parameters = () => ({ status: filter.status, name: filter.name, prefix: filter.prefix, createdFrom: iso(filter.from), createdTo: iso(filter.to) });
	const isGroups = () => filter.view === 'waiting' && !filter.kind;
	const path = rest => filter.view === 'waiting' ? url('/api/v1/waiting', { name: filter.name, kind: filter.kind, detail: filter.detail, ...rest }) : url('/api/v1/instances', { ...parameters(), ...rest });

	async function load(anew) {
		if (loading && !anew)
			return;
		const mine = ++generation;
		loading = true;
		mark(more, 'disabled', true);
		try {
			if (isGroups()) {
				const { groups, isPartial } = await get(path({}), { timeout: 30000 });
				if (mine !== generation)
					return;
				drawGroups(groups, isPartial);
				return;
			}
			const page = await get(path({ top: PAGE, after: anew ? null : next }), { timeout: 30000 });
			if (mine !== generation)
				return;
			next = page.next;
			items = anew ? page.instances : items.concat(page.instances);
			if (anew)
				cursor = -1;
			show();
		} catch (error) {
			if (mine === generation && (anew || items.length === 0)) {
				items = [];
				put(place, failure(error, () => load(true)));
				foot.hidden = true;
			} else if (mine === generation) {
				complain(error);
			}
		} finally {
			if (mine === generation) {
				loading = false;
				mark(more, 'disabled', null);
			}
		}
	}

	async function refresh() {
		if (paused)
			return;
		try {
			const [c, about] = await Promise.all([get('/api/v1/counts'), get('/api/v1/about')]);
			counts = c.counts;
			offset = Date.parse(about.now) - Date.now();
			drawChips();
			if (names.children.length !== new Set(counts.map(x => x.name)).size)
				put(names, [...new Set(counts.map(x => x.name))].sort().map(n => h('option', { value: n })));
			if (loading || document.activeElement === prefix)
				return;
			if (isGroups()) {
				if (!isCostly)
					await load(true);
				return;
			}
			if (items.length === 0) {
				await load(true);
				return;
			}
			const mine = generation;
			const size = Math.min(MOST_REFRESHED, Math.max(PAGE, items.length));
			const page = await get(path({ top: size }), { timeout: 30000 });
			if (mine !== generation)
				return;
			merge(page);
		} catch (error) {
			if (error.status === 401 || items.length === 0)
				throw error;
		}
	}

	/** The beginning of the list is new; what is behind stays. */
	function merge(page) {
		const fresh = new Map(page.instances.map(i => [i.instanceId + i.owner, i]));
		if (items.length <= page.instances.length || page.next === null) {
			items = page.instances;
			next = page.next;
		} else {
			const last = page.instances.at(-1);
			const cut = items.findIndex(i => i.instanceId === last?.instanceId && i.owner === last?.owner);
			items = cut >= 0 ? page.instances.concat(items.slice(cut + 1)) : items.map(i => fresh.get(i.instanceId + i.owner) ?? i);
		}
		show();
	}

	function show() {
		if (items.length === 0) {
			const filtered = filter.status || filter.name || filter.prefix || filter.from || filter.to || filter.kind;
			put(place, filtered ? empty('search', 'Nothing matches', 'No instance that you may see fits all of the filters.', h('button', { type: 'button', onclick: () => change({ prefix: '', name: '', from: '', to: '', status: '', view: '', kind: '', detail: '' }) }, 'Clear the filters'))
				: empty('list', 'There are no workflows yet', 'Start one here, with SELECT durable.start(...), or play the game.', h('a', { class: 'button', href: '/play' }, 'Play the game')));
			foot.hidden = true;
			return;
		}
		if (!table.isConnected)
			put(place, table);
		rows.set(items);
		foot.hidden = false;
		say(find('span', foot), `${plural(items.length, 'instance')} shown${next ? '; there are more' : ''}`);
		more.hidden = !next;
		tick();
	}

	function drawGroups(groups, isPartial) {
		foot.hidden = !isPartial;
		more.hidden = true;
		say(find('span', foot), isPartial ? 'There are more: only the oldest 100,000 waits were read. Choose an orchestration to read its waits only.' : '');
		items = [];
		if (groups.length === 0) {
			put(place, empty('clock', 'Nothing waits', 'No unfinished instance that you may see waits for something.'));
			return;
		}
		isCostly = isPartial;
		const key = JSON.stringify(groups.map(g => [g.name, g.kind, g.detail]));
		if (place.dataset.groups === key && find('.groups', place)) {
			groups.forEach((g, i) => {
				const cells = find('.groups tbody', place).children[i].children;
				say(cells[2], count(g.waits));
				say(cells[3], duration(g.longestMs));
				say(cells[4], g.overdue ? count(g.overdue) : '');
				say(cells[5], g.retrying ? count(g.retrying) : '');
			});
			return;
		}
		place.dataset.groups = key;
		put(place, h('table', { class: 'groups stack', 'aria-label': 'What unfinished instances wait for' },
			h('thead', {}, h('tr', {}, ['Waits for', 'Orchestration', 'Waits', 'Longest', 'Overdue', 'Retrying'].map((t, i) => h('th', { scope: 'col', class: i > 1 ? 'num' : null }, t)))),
			h('tbody', {}, groups.map(g => h('tr', {},
				h('td', {}, h('a', { href: url('/workflows', { view: 'waiting', kind: g.kind, detail: g.detail, name: g.name }), onclick: e => { e.preventDefault(); change({ kind: g.kind, detail: g.detail ?? '', name: g.name }); } },
					waitWords({ kind: g.kind, detail: g.detail }))),
				h('td', { data: { label: 'Orchestration' } }, breakable(shortName(g.name))), h('td', { class: 'num', data: { label: 'Waits' } }, count(g.waits)), h('td', { class: 'num', data: { label: 'Longest' } }, duration(g.longestMs)),
				h('td', { class: 'num bad', data: { label: 'Overdue' } }, g.overdue ? count(g.overdue) : ''), h('td', { class: 'num bad', data: { label: 'Retrying' } }, g.retrying ? count(g.retrying) : ''))))));
	}

	/* --- selection ---------------------------------------------------------------------------------------------------- */

	let lastSelected = null;

	function select(item, index, on, range) {
		const [lo, hi] = range && lastSelected !== null ? [Math.min(index, lastSelected), Math.max(index, lastSelected)] : [index, index];
		for (let i = lo; i <= hi; i++) {
			if (on)
				selected.add(items[i].instanceId);
			else
				selected.delete(items[i].instanceId);
		}
		lastSelected = index;
		rows.redraw();
		drawBulk();
	}

	function selectAll(on) {
		selected.clear();
		if (on)
			for (const i of items)
				selected.add(i.instanceId);
		rows.redraw();
		drawBulk();
	}

	function drawBulk() {
		bulk.hidden = selected.size === 0;
		all.checked = selected.size > 0 && selected.size === items.length;
		all.indeterminate = selected.size > 0 && selected.size < items.length;
		if (bulk.hidden)
			return;
		const chosen = items.filter(i => selected.has(i.instanceId));
		put(bulk, h('b', {}, `${count(selected.size)} selected`), Object.keys(ACTIONS).map(action => {
			const fit = chosen.filter(i => offered(i.runtimeStatus).includes(action)).map(i => i.instanceId);
			return fit.length === 0 ? null : h('button', { type: 'button', class: ACTIONS[action].danger ? 'danger' : null, onclick: () => actOnMany(action, fit, () => { selected.clear(); drawBulk(); asking.now(); load(true); }) },
				icon(ACTIONS[action].icon), `${ACTIONS[action].title} ${fit.length === selected.size ? '' : count(fit.length)}`.trim());
		}), h('button', { type: 'button', class: 'quiet', onclick: () => selectAll(false) }, 'Clear'));
	}

	/* --- time and keys -------------------------------------------------------------------------------------------------- */

	function tick() {
		tickWaits(tbody, offset);
		for (const cell of tbody.querySelectorAll('[data-since]'))
			say(cell, duration(Date.now() + offset - Number(cell.dataset.since)));
	}

	function flipPause() {
		paused = !paused;
		mark(pause, 'aria-pressed', String(paused));
		put(pause, icon(paused ? 'play' : 'pause'), h('span', {}, paused ? 'Paused' : 'Refreshing'));
		if (!paused)
			asking.now();
	}

	document.addEventListener('keydown', event => {
		if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input:not([type=checkbox]), textarea, select, dialog'))
			return;
		if ((event.key === 'j' || event.key === 'k') && items.length) {
			cursor = Math.max(0, Math.min(items.length - 1, cursor + (event.key === 'j' ? 1 : -1)));
			rows.focus(cursor);
		} else if (event.key === 'Enter' && event.target.matches('tr')) {
			find('a', event.target)?.click();
		} else if (event.key === 'x' && cursor >= 0 && items[cursor]) {
			select(items[cursor], cursor, !selected.has(items[cursor].instanceId), event.shiftKey);
		} else if (event.key === '.') {
			flipPause();
		}
	});
	new IntersectionObserver(entries => { if (entries[0].isIntersecting && next && !loading && scrollY > 300) load(false); }, { rootMargin: '800px' }).observe(foot);
	addEventListener('popstate', () => { Object.assign(filter, readFilter()); change({}); });
	setInterval(() => { if (!document.hidden && !paused) tick(); }, 1000);

	drawChips();
	load(true);
	const asking = poll(() => refresh().catch(() => {}), 3000);
}

function readFilter() {
	const q = new URLSearchParams(location.search);
	return Object.fromEntries(['status', 'name', 'prefix', 'from', 'to', 'view', 'kind', 'detail'].map(k => [k, q.get(k) ?? '']));
}

function writeFilter(filter) {
	const target = url('/workflows', filter);
	if (target !== location.pathname + location.search)
		history.replaceState(null, '', target);
}

const iso = local => local ? new Date(local).toISOString() : '';

function debounce(f) {
	let timer;
	return event => {
		clearTimeout(timer);
		timer = setTimeout(() => f(event), 250);
	};
}
