/*
 * cards.js - the five workflows: what each is an example of, its state, what it waits for, and its code with that line.
 */
import { find, h, icon, mark, put, say, statusBadge } from '../dom.js';
import { get, part } from '../http.js';
import { breakable, clock, compute, plural } from '../format.js';
import { relight, source } from '../code.js';
import { complain } from '../shell.js';

const ABOUT = {
	RunUserParallelWorkflow: ['Fan-out, fan-in', 'Makes player, monster, room and things side by side, waits for all four, and then for the gatekeeper.'],
	UserConfirmationWorkflow: ['Human interaction', 'Waits for you to confirm or for two minutes, whichever is first.'],
	UserMonitorWorkflow: ['Monitor', 'A watchman: looks at you, sleeps for twenty seconds, looks again.'],
	RunUserSequentialWorkflow: ['Chaining', 'Sets the scene, one step after the other.'],
	GameMonitorWorkflow: ['Correlated events', 'Waits until the monster is slain and the treasure is taken, in any order.']
};
const DEEDS = { KillMonster: 'the monster is slain', GotTreasure: 'the treasure is taken' };

export function makeCards(place) {
	const cards = new Map();
	let monitor = false;

	put(place, Object.entries(ABOUT).map(([name, [pattern, text]]) => {
		const parts = {
			status: h('span', { class: 'status none' }), waits: h('ul', { class: 'waits' }), stats: h('span', { class: 'stats' }),
			link: h('a', { class: 'button quiet tiny', hidden: true }, 'Open in the monitor'), code: null, lines: [], turns: null, flow: null
		};
		parts.button = h('button', { class: 'quiet tiny', type: 'button', 'aria-expanded': 'false', onclick: () => toggle(name) }, icon('code'), h('span', {}, 'Code'), h('span', { class: 'hide' }, ` of ${name}`));
		parts.card = h('li', { class: 'card flow idle' },
			h('div', { class: 'flow-head' },
				h('div', { class: 'flow-title' }, h('h3', {}, breakable(name)), h('span', { class: 'tag' }, pattern), parts.status),
				h('p', {}, text), parts.waits,
				h('div', { class: 'flow-foot' }, parts.stats, parts.link, parts.button)));
		cards.set(name, parts);
		return parts.card;
	}));
	// Who may not use the monitor is not sent there.
	get('/api/v1/instances?top=1').then(() => { monitor = true; }, () => {});

	function draw(state) {
		for (const flow of state.flows) {
			const parts = cards.get(flow.workflow);
			if (!parts)
				continue;
			if (parts.turns !== null && flow.turns > parts.turns) {
				parts.card.classList.remove('woke');
				void parts.card.offsetWidth;
				parts.card.classList.add('woke');
				clearTimeout(parts.wake);
				parts.wake = setTimeout(() => parts.card.classList.remove('woke'), 1500);
			}
			parts.turns = flow.turns ?? 0;
			parts.flow = flow;
			const badge = statusBadge(flow.status);
			if (badge.textContent !== parts.status.textContent) {
				parts.status.replaceWith(badge);
				parts.status = badge;
			}
			parts.card.classList.toggle('idle', !flow.instanceId);
			say(parts.stats, flow.instanceId ? `${plural(flow.turns, 'turn')} · ${compute(flow.computeMs)} of computing` : '');
			drawWaits(parts, flow);
			parts.link.hidden = !monitor || !flow.instanceId;
			if (flow.instanceId)
				mark(parts.link, 'href', `/workflows/${encodeURIComponent(flow.instanceId)}`);
			const lines = [...new Set(flow.waits.map(w => w.line).filter(Boolean))];
			if (JSON.stringify(lines) !== JSON.stringify(parts.lines)) {
				parts.lines = lines;
				if (parts.code)
					relight(parts.code, lines);
			}
		}
	}

	function drawWaits(parts, flow) {
		const items = flow.waits.map(w => ({ icon: ICON[w.kind] ?? 'clock', text: words(w), due: w.due, since: w.since, done: false }));
		// The deeds that are done are told too.
		if (flow.workflow === 'GameMonitorWorkflow' && flow.instanceId)
			for (const [event, text] of Object.entries(DEEDS))
				if (!flow.waits.some(w => w.detail === event) && (flow.waits.length || flow.status === 'Completed'))
					items.unshift({ icon: 'check', text: `event ${event}: ${text}`, done: true });
		const key = JSON.stringify(items);
		if (parts.shown === key)
			return;
		parts.shown = key;
		put(parts.waits, items.map(i => h('li', { class: i.done ? 'done' : null, data: i.due ? { due: Date.parse(i.due), since: Date.parse(i.since) } : null },
			icon(i.icon), h('span', {}, i.text), i.due ? h('span', { class: 'due' }) : null, i.due ? h('span', { class: 'bar', 'aria-hidden': 'true' }, h('i')) : null)));
	}

	function tick(now) {
		for (const li of place.querySelectorAll('li[data-due]')) {
			const due = Number(li.dataset.due);
			const since = Number(li.dataset.since);
			const left = Math.max(0, due - now);
			say(find('.due', li), left === 0 ? 'due' : clock(left));
			find('.bar i', li).style.width = `${Math.min(100, 100 * left / Math.max(1, due - since))}%`;
		}
	}

	async function toggle(name, open) {
		const parts = cards.get(name);
		const isOpen = parts.button.getAttribute('aria-expanded') === 'true';
		open ??= !isOpen;
		if (open === isOpen)
			return;
		mark(parts.button, 'aria-expanded', String(open));
		parts.card.classList.toggle('open', open);
		if (!open) {
			parts.code?.remove();
			parts.code = null;
			return;
		}
		try {
			parts.source ??= (await get(`/api/Source/${part(name)}`)).source;
			if (parts.button.getAttribute('aria-expanded') !== 'true' || parts.code)
				return;
			parts.code = source(parts.source, parts.lines, `Code of ${name}`);
			parts.card.append(parts.code);
			relight(parts.code, parts.lines);
		} catch (error) {
			mark(parts.button, 'aria-expanded', 'false');
			complain(error);
		}
	}

	return {
		draw, tick,
		allCode() {
			const open = ![...cards.values()].some(p => p.code);
			for (const name of cards.keys())
				toggle(name, open);
		}
	};
}

const ICON = { event: 'bell', timer: 'clock', activity: 'bolt', orchestration: 'branch', start: 'clock', resume: 'pause' };

function words(w) {
	switch (w.kind) {
		case 'event': return `waits for the event ${w.detail}`;
		case 'timer': return 'a timer';
		case 'activity': return `activity ${w.detail}`;
		case 'orchestration': return `waits for ${w.detail}`;
		case 'start': return 'begins at a time';
		case 'resume': return w.detail ? `is suspended: ${w.detail}` : 'is suspended';
		default: return [w.kind, w.detail].filter(Boolean).join(' ');
	}
}
