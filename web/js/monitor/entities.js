/* entities.js - /entities: small objects with a state, where this version of the engine has them. */
import { h } from '../dom.js';
import { at, json } from '../format.js';
import { empty, shell } from '../shell.js';
import { page, tableOf, view } from './tables.js';

shell();
page({
	title: 'Entities', text: 'Objects with a state, whose operations are done one after the other.',
	read: () => view('entities'),
	draw: rows => h('div', { class: 'card' }, rows.length === 0 ? empty('box', 'There are no entities', 'An entity is made by the first operation that is sent to it.')
		// The columns are those of the view.
		: tableOf('Entities', Object.keys(rows[0]).map(c => [c.replaceAll('_', ' '), r => cell(c, r[c])]), rows))
});

function cell(column, value) {
	if (value === null || value === undefined)
		return '';
	if (typeof value === 'object')
		return h('code', {}, json(value, 0).slice(0, 300));
	return /(_at|_time|_until)$/.test(column) ? at(value) : String(value);
}
