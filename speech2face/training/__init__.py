"""Training: from a data folder to a run folder.

    voice_job, decoder_job   a whole training: data -> networks -> trainer -> loop
    job                      what the two share
    loop                     the loop over iterations: resume, log, save, validate, stop
    trainer                  one iteration: losses -> gradients -> ADAM, on any devices
    voice, decoder           what the voice encoder and the face decoder learn
    losses                   Eq. 1 and the decoder's losses as functions of tensors

Around them:

    distribution, precision  on which devices, in which arithmetic
    unit_adam                ADAM for weights of different units
    decoder_gradients        the gradient of each loss at the decoder's outputs
    jitter                   random changes of a face before the recognizer sees it
    frozen_embeddings        embeds each clip once instead of once an epoch
    speaker_head             fits the head on a speaker recognizer in closed form
    validation, best_weights measures a network while it trains; keeps the best
    summaries, projector     the log and TensorBoard's files
    failures, ending         what stopped a training, and what to do next
    dry_run, cost            the plan of a training and what it will take
    loss_calibration         lambdas by the rule of Sec. 3
    decoder_calibration      the same for the face decoder's weights
"""
