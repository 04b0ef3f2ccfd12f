/*
 * behind.js - behind the scenes: the timeline of the five workflows, and what each click and each turn was.
 */
import { find, h, icon, put } from '../dom.js';
import { at, compute, duration, timeOfDay } from '../format.js';
import { statement } from '../code.js';
import { timeline } from '../timeline.js';

const MOST = 60;

export function makeBehind() {
	const list = find('#happened');
	const drawing = timeline({ label: 'Timeline of the workflows; the same is in the table below' });
	put(find('#timeline'), drawing.element);
	put(list, h('li', { class: 'soft' }, h('span'), h('span', {}, 'Here appears the SQL of each click, and what the workflows did about it.')));
	let latest = null;

	function entry(kind, ...content) {
		list.querySelector('li.soft')?.remove();
		const time = new Date();
		list.prepend(h('li', { class: kind }, h('time', { datetime: time.toISOString() }, timeOfDay(time)), h('div', {}, content)));
		while (list.children.length > MOST)
			list.lastElementChild.remove();
	}

	return {
		click(sql) { entry('click', statement(sql)); },
		note(text) { entry('turn', h('span', {}, icon('bolt'), ' ', text)); },
		sql(show) { list.classList.toggle('nosql', !show); },
		compressed(on) { drawing.mode(on); },

		/** Tells about the turns between two looks at the workflows. */
		turns(before, after) {
			if (before.length === 0)
				return;
			for (const flow of after) {
				const old = before.find(f => f.workflow === flow.workflow);
				if (!flow.instanceId || (old?.turns ?? 0) === flow.turns)
					continue;
				const n = flow.turns - (old?.turns ?? 0);
				const ms = Math.max(0, (flow.computeMs ?? 0) - (old?.computeMs ?? 0));
				const waits = flow.waits.map(w => w.kind === 'timer' ? 'a timer' : w.kind === 'orchestration' ? w.detail : `${w.kind} ${w.detail ?? ''}`.trim());
				const now = flow.status !== 'Running' ? ` It is ${flow.status.toLowerCase()}.` : waits.length ? ` It waits for ${waits.join(', ')}.` : '';
				entry('turn', h('code', {}, flow.workflow), n === 1 ? ` took turn ${flow.turns}` : ` took turns ${(old?.turns ?? 0) + 1} to ${flow.turns}`,
					`: ${compute(ms)} of computing.`, now);
			}
		},

		timeline({ workflows, now }) {
			latest = workflows;
			const ms = t => t ? Date.parse(t) : null;
			drawing.update(workflows.map(flow => ({
				label: flow.workflow,
				bars: flow.calls.filter(c => ['activity', 'timer', 'event', 'orchestration'].includes(c.kind)).map(c => ({
					from: ms(c.called), to: ms(c.answered) ?? (flow.ended ? ms(flow.ended) : null), text: `${c.name ?? c.kind}${c.state === 'canceled' ? ' (canceled)' : ''}`,
					kind: c.kind === 'activity' ? 'work' : c.kind === 'orchestration' ? 'sub' : 'wait', failed: c.state === 'failed'
				})),
				marks: [{ at: ms(flow.created), kind: 'start', text: `${flow.workflow} starts` },
					...flow.calls.filter(c => c.kind === 'event' && c.state === 'completed').map(c => ({ at: ms(c.answered), kind: 'event', text: `event ${c.name}` })),
					...(flow.ended ? [{ at: ms(flow.ended), kind: 'end', text: flow.status, failed: flow.status === 'Failed' }] : [])]
			})), ms(now));
			const place = find('#timeline-table div');
			if (find('#timeline-table').open)
				table(place);
			else
				find('#timeline-table').addEventListener('toggle', () => table(place), { once: true });
		}
	};

	function table(place) {
		if (!latest)
			return;
		put(place, h('table', {}, h('thead', {}, h('tr', {}, ['Workflow', 'Call', 'State', 'Called', 'Took'].map(t => h('th', { scope: 'col' }, t)))),
			h('tbody', {}, latest.flatMap(flow => flow.calls.map(c => h('tr', {},
				h('td', {}, flow.workflow), h('td', {}, [c.kind, c.name].filter(Boolean).join(' ')), h('td', {}, c.state ?? ''), h('td', { class: 'nowrap' }, at(c.called)),
				h('td', { class: 'nowrap' }, c.answered ? duration(Date.parse(c.answered) - Date.parse(c.called)) : '')))))));
	}
}
