/*
 * inspector.js - one event of a history, whole.  Payloads that were cut are asked for only when somebody wants them.
 */
import { h, icon, put } from '../dom.js';
import { get, url } from '../http.js';
import { at, count, json } from '../format.js';
import { copy, dialog } from '../shell.js';

export function inspector(e, name, api) {
	dialog({
		title: e.eventType,
		content: () => [
			h('dl', { class: 'facts' }, Object.entries({ Number: e.seq, Call: e.task, Name: name, Time: at(e.createdAt), Execution: e.execution })
				.filter(([, v]) => v !== null && v !== undefined).map(([k, v]) => h('div', {}, h('dt', {}, k), h('dd', {}, String(v))))),
			value('Payload', e.payload, e.seq === null ? null : async () => (await get(url(`${api}/history`, { after: e.seq - 1, top: 1, full: true }), { timeout: 60000 })).events[0].payload),
			value('Detail', e.detail, null)
		]
	});
}

function value(title, content, whole) {
	if (content === null || content === undefined)
		return null;
	const place = h('div', { class: 'value' });
	const show = (text, rest) => put(place, h('div', { class: 'row' }, h('h3', {}, title), h('button', { type: 'button', class: 'quiet tiny', onclick: () => copy(text) }, icon('copy'), 'Copy'), rest),
		h('pre', { tabindex: '0', role: 'region', 'aria-label': title }, text));
	if (content.isCut)
		show(content.beginning, whole && h('button', { type: 'button', class: 'tiny', onclick: async () => show(json(await whole())) }, `Load all ${count(content.length)} characters`));
	else
		show(json(content));
	return place;
}
