/* entities.js - /entities: small objects with a state. */
import { h } from '../dom.js';
import { at, breakable, count, json } from '../format.js';
import { empty, shell } from '../shell.js';
import { page, tableOf, view } from './tables.js';

shell();
page({
	title: 'Entities', text: 'Objects with a state, whose operations are done one after the other.',
	read: () => view('entities'),
	draw: rows => h('div', { class: 'card' }, rows.length === 0 ? empty('box', 'There are no entities', 'An entity is made by the first operation that is sent to it.')
		: tableOf('Entities', [
			['Entity', e => [h('b', {}, e.key === '' ? '(empty key)' : e.key), h('div', { class: 'soft small' }, e.name)]],
			['State', e => value(e.state)],
			['Waiting', e => count(e.waiting), 'num'],
			['Locked by', e => e.locked_by ? h('a', { href: `/workflows/${encodeURIComponent(e.locked_by)}` }, e.locked_by) : ''],
			['Created', e => time(e.created_time)], ['Updated', e => time(e.last_updated_time)],
			['Trouble', e => trouble(e)],
			['Owner', e => breakable(e.owner), 'words']], rows))
});

function value(v) {
	return v === null ? '' : h('code', {}, json(v, 0).slice(0, 300));
}

function time(t) {
	return t ? h('time', { datetime: t }, at(t)) : '';
}

/* What keeps its operations from being done, and the last that has failed. */
function trouble(e) {
	const parts = [];
	if (e.problem)
		parts.push(h('div', {}, typeof e.problem === 'string' ? e.problem : value(e.problem)));
	if (e.next_try)
		parts.push(h('div', { class: 'soft small' }, 'next try ', time(e.next_try)));
	if (e.last_failure)
		parts.push(h('div', { class: 'small' }, 'last failure: ', e.last_failure.message ?? value(e.last_failure)));
	return parts.length ? parts : '';
}
