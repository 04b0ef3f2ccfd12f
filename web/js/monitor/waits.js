/*
 * waits.js - what an instance waits for, in words, with the time that is left.
 */
import { h, icon, say } from '../dom.js';
import { at, duration, shortName } from '../format.js';

const ICON = { event: 'bell', timer: 'clock', activity: 'bolt', orchestration: 'branch', start: 'clock', resume: 'pause' };

export function waitWords(w) {
	switch (w.kind) {
		case 'event': return `event ${w.detail}`;
		case 'timer': return w.detail ? `timer ${w.detail}` : 'timer';
		case 'activity': return `activity ${shortName(w.detail)}`;
		case 'orchestration': return `sub-orchestration ${shortName(w.detail)}`;
		case 'start': return 'its start time';
		case 'resume': return w.detail ? `to be resumed: ${w.detail}` : 'to be resumed';
		default: return [w.kind, w.detail].filter(Boolean).join(' ');
	}
}

/** Waits in the order in which they matter: a suspended instance takes nothing else before it is resumed. */
export const byWeight = waits => [...waits].sort((a, b) => (b.kind === 'resume') - (a.kind === 'resume'));

/** A list of what is waited for; most: how many. */
export function waitList(waits, most = 99) {
	const shown = byWeight(waits).slice(0, most);
	return [shown.map(w => h('div', { class: 'wait', title: w.since ? `since ${at(w.since)}${w.due ? `, due ${at(w.due)}` : ''}` : null },
		icon(ICON[w.kind] ?? 'clock'), h('span', { class: 'clip' }, waitWords(w)),
		w.due ? h('time', { class: 'soft num', datetime: w.due, data: { due: Date.parse(w.due) } }) : null)),
	waits.length > most ? h('div', { class: 'soft small' }, `and ${waits.length - most} more`) : null];
}

/** Lets all times that are shown run down. */
export function tickWaits(root, offset) {
	for (const element of root.querySelectorAll('time[data-due]')) {
		const left = Number(element.dataset.due) - (Date.now() + offset);
		say(element, left > 0 ? `in ${duration(left)}` : left > -2000 ? 'due' : `due since ${duration(-left)}`);
	}
}
