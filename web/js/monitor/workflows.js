/* workflows.js - /workflows is the list, /workflows/ID one instance. */
import { shell } from '../shell.js';
import { detail } from './detail.js';
import { list } from './list.js';

const id = decodeURIComponent(location.pathname.replace(/^\/workflows\/?/, ''));

if (id) {
	shell({ extra: [['e', 'Raise an event'], ['b', 'Back to the list'], ['j k', 'Next, previous event of the history']] });
	detail(id);
} else {
	shell({ extra: [['j k', 'Next, previous instance'], ['Enter', 'Open the instance'], ['x', 'Select the instance'], ['.', 'Stop or go on refreshing']] });
	list();
}
