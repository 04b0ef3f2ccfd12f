/*
 * files.c - the files of web/: built into the program, or read from --www for development.
 *
 * "/" is index.html.  A path whose last part has no dot is the page of its first part: /play is
 * play.html, /workflows/ID is workflows.html.  An ETag is a hash of the content.
 *
 * Owns: the list of files.
 * Called by: request.c.
 * Memory: a file that is read from --www lives as long as its reply.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serve.h"

#define CSP "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " \
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static bool file_name(const char *path, char *name, size_t size);
static const char *media_type(const char *name);
static void send_file(struct evhttp_request *req, const char *name, const char *data, size_t length);

void
files_start(void)
{
	struct stat status;

	if (options.www != NULL && (stat(options.www, &status) != 0 || !S_ISDIR(status.st_mode)))
	{
		complain("there is no directory \"%s\"", options.www);
		exit(2);
	}
}

bool
files_serve(struct evhttp_request *req, const char *path)
{
	char		name[256],
				full[1024];
	struct stat status;
	int			fd;

	if (!file_name(path, name, sizeof(name)))
		return false;
	if (options.www == NULL)
	{
		for (const EmbeddedFile *file = embedded_files; file->path != NULL; file++)
			if (strcmp(file->path, name) == 0)
			{
				send_file(req, name, (const char *) file->data, file->length);
				return true;
			}
		return false;
	}
	snprintf(full, sizeof(full), "%s/%s", options.www, name);
	fd = open(full, O_RDONLY);
	if (fd < 0)
		return false;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size < 64 * 1024 * 1024)
	{
		char	   *data = must_alloc((size_t) status.st_size + 1);
		ssize_t		n = read(fd, data, (size_t) status.st_size);

		close(fd);
		send_file(req, name, data, n > 0 ? (size_t) n : 0);
		free(data);
		return true;
	}
	close(fd);
	return false;
}

/* Names have letters, digits, - and _, and dots that no other dot or slash comes before. */
static bool
file_name(const char *path, char *name, size_t size)
{
	const char *last = strrchr(path, '/');
	const char *end;

	if (strstr(path, "/../") != NULL || strcmp(last, "/..") == 0)
		return false;
	if (strcmp(path, "/") == 0)
		path = "/index.html";
	else if (strchr(last, '.') == NULL || strncmp(path, "/workflows/", 11) == 0)
	{
		end = strchr(path + 1, '/');
		if (end == NULL)
			end = path + strlen(path);
		if ((size_t) snprintf(name, size, "%.*s.html", (int) (end - path - 1), path + 1) >= size)
			return false;
		return name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.")] == '\0' && name[0] != '.' && strstr(name, "..") == NULL;
	}
	if ((size_t) snprintf(name, size, "%s", path + 1) >= size)
		return false;
	if (name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./")] != '\0' || name[0] == '.')
		return false;
	return strstr(name, "..") == NULL && strstr(name, "/.") == NULL && strstr(name, "//") == NULL;
}

static void
send_file(struct evhttp_request *req, const char *name, const char *data, size_t length)
{
	struct evkeyvalq *out = evhttp_request_get_output_headers(req);
	const char *known = evhttp_find_header(evhttp_request_get_input_headers(req), "If-None-Match");
	uint64_t	hash = UINT64_C(14695981039346656037);
	char		tag[24];

	/* FNV-1a */
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char) data[i]) * UINT64_C(1099511628211);
	snprintf(tag, sizeof(tag), "\"%016llx\"", (unsigned long long) hash);
	evhttp_add_header(out, "ETag", tag);
	evhttp_add_header(out, "Cache-Control", "no-cache");
	evhttp_add_header(out, "Content-Security-Policy", CSP);
	if (known != NULL && strcmp(known, tag) == 0)
		reply(req, 304, NULL, "", 0);
	else
		reply(req, 200, media_type(name), data, length);
}

static const char *
media_type(const char *name)
{
	static const char *const types[][2] = {
		{".html", "text/html; charset=utf-8"}, {".css", "text/css; charset=utf-8"}, {".js", "text/javascript; charset=utf-8"},
		{".mjs", "text/javascript; charset=utf-8"}, {".svg", "image/svg+xml"}, {".png", "image/png"}, {".ico", "image/x-icon"},
		{".json", "application/json"}, {".woff2", "font/woff2"}, {".txt", "text/plain; charset=utf-8"}
	};
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot != NULL && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcasecmp(dot, types[i][0]) == 0)
			return types[i][1];
	return "application/octet-stream";
}
