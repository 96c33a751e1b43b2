// libraries measures the processor time that libmpg123 and libsoxr need for a file that is in
// memory. A program that uses them needs that much at least.
//
//	cc -O2 bench/libraries/libraries.c -o libraries -lmpg123 -lsoxr
//	./libraries speech.mp3         # decodes, and resamples to 24 kHz
//	./libraries speech.f32 44100   # resamples; ffmpeg -i speech.wav -f f32le -ac 1 speech.f32
#include <mpg123.h>
#include <soxr.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double used(void) {
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *why) {
	fprintf(stderr, "libraries: %s\n", why);
	exit(1);
}

static void *contents(const char *name, size_t *size) {
	FILE *file = fopen(name, "rb");
	if (!file || fseek(file, 0, SEEK_END)) fail("the file cannot be read");
	*size = ftell(file);
	rewind(file);
	void *all = malloc(*size + 1);
	if (!all || fread(all, 1, *size, file) != *size) fail("the file cannot be read");
	fclose(file);
	return all;
}

// decode decodes an MP3 file frame by frame and returns the number of frames of samples. It mixes
// them to mono in out, if that is not NULL.
static size_t decode(const void *mp3, size_t size, float *out, long *rate) {
	mpg123_handle *handle = mpg123_new(NULL, NULL);
	long flags = MPG123_QUIET | MPG123_FORCE_FLOAT | MPG123_IGNORE_INFOFRAME | MPG123_NO_READAHEAD;
	mpg123_param(handle, MPG123_ADD_FLAGS, flags, 0);
	if (mpg123_open_feed(handle) || mpg123_feed(handle, mp3, size)) fail("libmpg123 does not start");
	size_t samples = 0;
	for (int code, channels = 1, encoding;;) {
		unsigned char *sound = NULL;
		size_t bytes = 0;
		code = mpg123_decode_frame(handle, NULL, &sound, &bytes);
		if (code == MPG123_NEED_MORE) return samples;
		if (code == MPG123_NEW_FORMAT) mpg123_getformat(handle, rate, &channels, &encoding);
		else if (code != MPG123_OK) fail(mpg123_strerror(handle));
		float *frame = (float *)sound;
		for (size_t i = 0; out && i < bytes / 4; i += channels)
			*out++ = channels == 2 ? (frame[i] + frame[i + 1]) / 2 : frame[i];
		samples += bytes / 4 / channels;
	}
}

static size_t resample(const float *in, size_t samples, long rate) {
	static float out[4096];
	soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
	soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
	soxr_runtime_spec_t threads = soxr_runtime_spec(1);
	soxr_t handle = soxr_create(rate, 24000, 1, NULL, &io, &quality, &threads);
	for (size_t at = 0, total = 0;;) {
		size_t taken, made, given = samples - at < 4096 ? samples - at : 4096;
		soxr_process(handle, given ? in + at : NULL, given, &taken, out, 4096, &made);
		at += taken, total += made;
		if (!given && !made) return total;
	}
}

int main(int count, char **arguments) {
	if (count < 2 || count > 3) fail("give it an MP3 file, or samples and their rate");
	size_t size;
	void *file = contents(arguments[1], &size);
	float *in = file;
	long rate = count > 2 ? atol(arguments[2]) : 0;
	size_t samples = size / sizeof *in;
	if (count == 2) {
		double begin = used();
		samples = decode(file, size, NULL, &rate);
		printf("libmpg123: %.3f s\n", used() - begin);
		in = malloc(samples * sizeof *in);
		decode(file, size, in, &rate);
	}
	if (rate == 24000) return 0;
	double begin = used();
	size_t made = resample(in, samples, rate);
	printf("libsoxr: %.3f s, from %zu samples to %zu\n", used() - begin, samples, made);
}
