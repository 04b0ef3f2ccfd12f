/*
 * story.js - the lines of the console, each once, in the order of their ids.
 */
import { h, put } from '../dom.js';
import { timeOfDay } from '../format.js';

const MOST = 500;

export function makeStory(place) {
	const seen = new Set();
	const pane = place.parentElement;

	function line({ id, message, created }, isNew) {
		const time = new Date(created ?? Date.now());
		return h('li', { class: isNew ? 'new' : null, data: { id } },
			h('time', { datetime: created }, timeOfDay(time)), h('span', {}, message));
	}

	function insert(element, id) {
		let before = place.lastElementChild;
		while (before && Number(before.dataset.id) > id)
			before = before.previousElementSibling;
		if (before)
			before.after(element);
		else
			place.prepend(element);
	}

	put(place, h('li', { class: 'none', data: { id: -1 } }, 'Nothing has been told yet.'));
	return {
		begin(lines) {
			for (const l of lines)
				this.add(l, false);
		},
		add(l, isNew = true) {
			if (l.id === undefined || seen.has(l.id) || l.message === undefined)
				return;
			seen.add(l.id);
			place.querySelector('.none')?.remove();
			const atEnd = pane.scrollHeight - pane.scrollTop - pane.clientHeight < 60;
			insert(line(l, isNew), l.id);
			while (place.children.length > MOST)
				place.firstElementChild.remove();
			if (atEnd || !isNew)
				pane.scrollTop = pane.scrollHeight;
		}
	};
}
