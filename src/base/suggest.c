/*
 * suggest.c
 *		Makes hints "Did you mean": finds the names that are most similar to one that does
 *		not exist.
 *
 * Differences of case and between _, - and blanks are the most frequent mistakes, so
 * they are ignored.  Otherwise names are similar up to a Levenshtein distance of a
 * third of the length, and at most 5.  No name is similar to a name of one or two
 * letters.
 *
 * Owns:		nothing
 * Called by:	handler_find.c, handler_call.c, retry.c, entity_calls.c, registration_api.c,
 *				doctor_walk.c
 * Locks:		none
 * Memory:		CurrentMemoryContext
 */
#include "postgres.h"

#include "suggest.h"

#include "utils/varlena.h"

/* The limit of varstr_levenshtein is 255 characters, which is more than needed here. */
#define MAX_LENGTH		120
#define MAX_DISTANCE	5

static char *folded(const char *name);

const char *
durable_suggest(const char *written, const List *names)
{
	const char *best = NULL;
	int			length = strlen(written);
	/* two transposed letters count as a distance of two, which is allowed in short words, too */
	int			limit = length < 4 ? length / 3 : Min(MAX_DISTANCE, Max(length / 3, 2));
	char	   *wanted;
	ListCell   *cell;

	if (length == 0 || length > MAX_LENGTH)
		return NULL;

	wanted = folded(written);
	foreach(cell, names)
	{
		const char *name = lfirst(cell);
		int			distance;

		if (strlen(name) > MAX_LENGTH)
			continue;

		distance = varstr_levenshtein_less_equal(wanted, length, folded(name), strlen(name),
												 1, 1, 1, limit, true);
		if (distance <= limit)
		{
			/* from now on only better matches count */
			best = name;
			limit = distance - 1;
			if (limit < 0)
				break;
		}
	}

	return best;
}

/* Folds ASCII letters only: another letter in the other case counts as one different character. */
static char *
folded(const char *name)
{
	char	   *copy = pstrdup(name);

	for (char *c = copy; *c != '\0'; c++)
	{
		if (*c == '-' || *c == ' ')
			*c = '_';
		else
			*c = pg_ascii_tolower((unsigned char) *c);
	}

	return copy;
}
