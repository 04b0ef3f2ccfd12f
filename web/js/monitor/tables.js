/*
 * tables.js - the pages that are a table of a view: asks again and again, draws what has changed, says why not.
 */
import { find, h, put } from '../dom.js';
import { get, poll, request } from '../http.js';
import { bones, complain, empty, failure, toast } from '../shell.js';

/** A page: title, text, and parts that are read together. read() returns the data, draw(data) elements. */
export function page({ title, text, tools, read, draw, interval = 4000 }) {
	const main = find('#main');
	const place = h('div', { class: 'gap' }, h('div', { class: 'card' }, bones()));
	let shown = '';
	put(main, h('div', { class: 'page-head' }, h('div', { class: 'grow' }, h('h1', {}, title), h('p', { class: 'soft' }, text)), tools ?? null), place);
	return poll(async () => {
		try {
			const data = await read();
			const key = JSON.stringify(data);
			if (key !== shown) {
				const focus = place.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
				shown = key;
				put(place, draw(data));
				if (focus)
					find(`[data-focus="${CSS.escape(focus)}"]`, place)?.focus({ preventScroll: true });
			}
		} catch (error) {
			if (shown === '' || !error.isGone) {
				shown = '';
				put(place, h('div', { class: 'card' }, error.status === 404 ? empty('box', 'Not in this version', error.message) : failure(error)));
			}
		}
	}, interval);
}

/** rows as a table: columns are [title, row => cell, class]. On narrow windows a row becomes a block, with many columns earlier. */
export function tableOf(label, columns, rows, rowClass = () => null) {
	return h('div', { class: 'scroll-x', tabindex: '0', role: 'region', 'aria-label': label }, h('table', { class: columns.length > 6 ? 'stack wide' : 'stack', 'aria-label': label },
		h('thead', {}, h('tr', {}, columns.map(([t, , c]) => h('th', { scope: 'col', class: c }, t)))),
		h('tbody', {}, rows.map(r => h('tr', { class: rowClass(r) }, columns.map(([t, cell, c], i) => h('td', { class: c, data: i && columns.length > 2 ? { label: t } : null }, cell(r)))))))); 
}

export const card = (title, ...content) => h('section', { class: 'card', 'aria-label': title }, h('header', {}, h('h2', {}, title)), content);

export const view = name => get(`/api/v1/${name}`).then(d => d[name]);

/** A view that this version, or this role, may not have. */
export const optional = name => view(name).catch(error => { if (error.status === 404 || error.status === 403) return null; throw error; });

/** Does something, and says so. */
export async function doing(path, body, message, then) {
	try {
		await request('POST', path, { body });
		toast(message);
		then?.now();
	} catch (error) {
		complain(error);
	}
}
