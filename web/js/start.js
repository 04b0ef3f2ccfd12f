/* start.js - the first page: the game where there is one, else the workflows. */
import { get } from './http.js';

get('/api/Players').then(() => location.replace('/play'), () => location.replace('/workflows'));
