/*
 * virtual.js - a table of any number of rows, of which only those near the window are elements.
 *
 * It scrolls with the page.  Rows have one height, which the style sheet sets and which is measured.  Elements of rows
 * that are still the same are kept, with the focus.
 */
import { h } from './dom.js';

const MARGIN = 8;

/** key(item); signature(item): changes when the row has to be drawn anew; render(item, index): a tr. */
export function virtualRows({ tbody, key, signature, render }) {
	const before = spacer();
	const after = spacer();
	let items = [];
	let height = 0;
	let frame = 0;
	const rows = new Map();
	tbody.append(before, after);

	function spacer() {
		// One cell: a style sheet may hide columns, and a wider cell would bring them back.
		return h('tr', { class: 'spacer', 'aria-hidden': 'true' }, h('td'));
	}

	function draw() {
		frame = 0;
		if (!tbody.isConnected)
			return;
		if (!height && items.length)
			height = measure();
		const top = tbody.getBoundingClientRect().top;
		const per = height || 40;
		const first = Math.max(0, Math.min(items.length, Math.floor(-top / per) - MARGIN));
		const last = Math.min(items.length, Math.ceil((innerHeight - top) / per) + MARGIN);
		size(before, first * per);
		size(after, Math.max(0, items.length - Math.max(first, last)) * per);
		const wanted = new Set();
		let at = before;
		for (let i = first; i < last; i++) {
			const item = items[i];
			const id = key(item);
			const sign = signature(item);
			wanted.add(id);
			let row = rows.get(id);
			if (!row || row.sign !== sign || row.index !== i) {
				const element = render(item, i);
				element.setAttribute('aria-rowindex', String(i + 2));
				if (row) {
					const focus = row.element.contains(document.activeElement) ? document.activeElement.dataset.focus ?? '' : null;
					row.element.replaceWith(element);
					if (focus !== null)
						(focus ? element.querySelector(`[data-focus="${focus}"]`) : element)?.focus({ preventScroll: true });
				}
				row = { element, sign, index: i };
				rows.set(id, row);
			}
			if (at.nextElementSibling !== row.element)
				at.after(row.element);
			at = row.element;
		}
		for (const [id, row] of rows)
			if (!wanted.has(id)) {
				row.element.remove();
				rows.delete(id);
			}
	}

	function size(row, pixels) {
		const cell = row.firstElementChild;
		row.hidden = pixels <= 0;
		cell.style.height = `${pixels}px`;
	}

	function measure() {
		const probe = render(items[0], 0);
		before.after(probe);
		const measured = probe.getBoundingClientRect().height;
		probe.remove();
		return measured;
	}

	const later = () => { frame ||= requestAnimationFrame(draw); };
	addEventListener('scroll', later, { passive: true });
	addEventListener('resize', () => { height = 0; later(); });

	return {
		set(newItems) {
			items = newItems;
			later();
		},
		redraw() {
			for (const row of rows.values())
				row.sign = null;
			later();
		},
		/** Scrolls to a row and gives it the focus. */
		focus(index) {
			const top = tbody.getBoundingClientRect().top + scrollY + index * height;
			const bar = 180;
			if (top < scrollY + bar)
				scrollTo(0, top - bar);
			else if (top + height > scrollY + innerHeight - 70)
				scrollTo(0, top + height - innerHeight + 70);
			draw();
			rows.get(key(items[index]))?.element.focus({ preventScroll: true });
		}
	};
}
