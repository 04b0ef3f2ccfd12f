/* schedules.js - /schedules: orchestrations that are started by the clock. */
import { h, statusBadge } from '../dom.js';
import { at, breakable, count, shortName } from '../format.js';
import { empty, shell } from '../shell.js';
import { statement } from '../code.js';
import { partButtons } from './actions.js';
import { page, tableOf, view } from './tables.js';

shell();
const asking = page({
	title: 'Schedules', text: 'Orchestrations that are started by the clock.',
	read: () => view('schedules'),
	draw: schedules => h('div', { class: 'card' }, schedules.length === 0 ? empty('calendar', 'There are no schedules', 'A schedule starts an orchestration at the times of a cron expression. It needs pg_cron.', statement("SELECT durable.schedule('nightly', '0 3 * * *', 'report', timezone => 'Europe/Vienna');"))
		: tableOf('Schedules', [
			['Schedule', s => [h('b', {}, s.name), h('div', { class: 'soft small' }, breakable(shortName(s.orchestration)))]],
			['State', s => statusBadge(s.is_paused ? 'Suspended' : 'Running', s.is_paused ? 'paused' : 'active')],
			['Times', s => [h('code', {}, s.cron.split(' ').map(field => [h('span', { class: 'fit' }, field), ' '])), h('div', { class: 'soft small' }, breakable(s.timezone))], 'words'],
			['Next', s => s.next_time ? h('time', { datetime: s.next_time }, at(s.next_time)) : ''],
			['Last', s => s.last_time ? [h('time', { datetime: s.last_time }, at(s.last_time)), s.last_instance ? h('div', {}, h('a', { href: `/workflows/${encodeURIComponent(s.last_instance)}` }, s.last_instance)) : null] : ''],
			['Overlap', s => s.overlap, 'fit'], ['Missed', s => count(s.missed), 'num'], ['Skipped', s => count(s.skipped), 'num'], ['Owner', s => breakable(s.owner), 'words'],
			['Actions', s => partButtons('schedules', s, () => asking.now())]], schedules))
});
